"""When the exact simulator cuts a circuit into light cones, and what it then refuses.

A state of more than `WHOLE_QUBITS` qubits is never computed as a whole: its observables are
computed from their light cones (`simulate/cones/plan.py`). A narrower circuit is cut only with the
option `light_cones`, because its values then differ in the last bits.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qstore_ray.backends.memory import memory_bytes
from qstore_ray.circuits.library.library import WHOLE_QUBITS
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template
from qstore_ray.errors import BackendError, ConfigError, ResourceError
from qstore_ray.simulate.cones.growth import growth_beyond
from qstore_ray.simulate.cones.plan import cut_circuit, plan_cones
from qstore_ray.simulate.cones.sweep import ConeEngine
from qstore_ray.simulate.engines.engines import Precision, state_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from qstore_ray.simulate.compile.program import SlotGradients
    from qstore_ray.simulate.cones.plan import ConePlan
    from qstore_ray.simulate.engines.engines import Engine
    from qstore_ray.types import FloatArray

_MPS = "backend = 'aer' with backend_options = {method = 'matrix_product_state'}"


def is_cut(template: Template, asked: bool) -> bool:
    """Whether a circuit is evaluated by light cones.

    Args:
        asked: whether the option `light_cones` asks for it where the whole state fits.
    """
    return template.initial == "zeros" and (asked or template.n_qubits > WHOLE_QUBITS)


def checked_plan(
    template: Template,
    observables: tuple[Observable, ...],
    params_per_row: bool,
    engine: str,
    threads: int,
    precision: Precision,
) -> ConePlan:
    """The parts of a circuit, if the widest cone fits this machine.

    Raises:
        ResourceError: a cone is too wide; it says where in the circuit it became so.
    """
    limit = widest_cone(engine, threads, precision)
    widths = cut_circuit(template, observables).widths
    if max(widths) > limit:
        raise _too_wide_error(template, observables, widths, limit)
    return plan_cones(template, observables, params_per_row)


def cone_sweep(
    engine: Engine,
    plan: ConePlan,
    rows: FloatArray,
    params: FloatArray,
    keep: bool,
    threads: int,
    precision: Precision,
) -> tuple[FloatArray, Callable[..., SlotGradients]]:
    """Values (N, O) of the parts of a circuit, and the reverse sweep; see `ConeEngine`."""
    cones = ConeEngine(engine)
    values, tape = cones.forward(
        plan, rows, params, keep=keep, threads=threads, precision=precision
    )
    return values, partial(cones.reverse, tape, threads=threads)


def widest_cone(engine: str, threads: int, precision: Precision) -> int:
    """The number of qubits of the widest cone whose states fit this machine."""
    fitting = (
        width
        for width in range(WHOLE_QUBITS, 0, -1)
        if state_bytes(engine, width, threads, precision) <= memory_bytes()
    )
    return next(fitting, 0)


def refuse_wide(template: Template, what: str) -> None:
    """Refuse what needs the whole state of a circuit.

    Args:
        what: the start of a sentence, such as `values from shots need`.

    Raises:
        BackendError: the circuit is wider than a state can be.
    """
    if template.n_qubits > WHOLE_QUBITS:
        raise BackendError(
            f"{what} the whole state, which can have at most {WHOLE_QUBITS} qubits",
            field="n_qubits",
            value=template.n_qubits,
            fix="Wide circuits have exact values and gradients here. For values from shots take "
            f"{_MPS}, or a device.",
        )


def exact_cones_error(what: str) -> ConfigError:
    """The error of the option `light_cones` beside noise or shots."""
    return ConfigError(
        f"light cones give exact values, without {what}",
        field="light_cones",
        value=True,
        fix=f"Leave light_cones out, or {what}.",
    )


def _too_wide_error(
    template: Template, observables: tuple[Observable, ...], widths: tuple[int, ...], limit: int
) -> ResourceError:
    width = max(widths)
    worst = observables[widths.index(width)]
    others = sum(each > limit for each in widths) - 1
    found = growth_beyond(template, worst, limit)
    place = ""
    if found is not None:
        qubits = ", ".join(map(str, found.op.qubits))
        place = (
            f". The {found.op.gate} of the qubits {qubits} in layer {found.layer} of "
            f"{found.layers}, counted by depth, makes it so: the later layers connect "
            f"{found.width} qubits"
        )
    more = f", and so do {others} other observables" if others > 1 else ""
    return ResourceError(
        f"the light cone of {_short(worst)} has {width} qubits{more}; at most {limit} fit this "
        f"machine{place}",
        field="observables",
        value=width,
        fix="Take fewer layers, an entanglement of few rounds of disjoint pairs ('pairwise' or "
        f"'heavy_hex'), or observables of fewer qubits; or approximate with {_MPS}.",
    )


def _short(observable: Observable) -> str:
    label = observable.label
    return label if len(label) <= 40 else f"{label[:40]}…"
