"""From a table of any width to the features of a circuit: how many qubits, and what comes before.

    raw rows (N, F) → standardised, principal components (only where F is too wide) → encoding range

A user of scikit-learn hands over columns as they are, as few or as many as there are. So the number
of qubits follows from the number of columns, up to `MOST_QUBITS`, and wider tables are projected.

    angle, basis, iqp, zz   F qubits        hamiltonian   F + 1
    dense_angle             F/2             amplitude     log2(F + 1)

Where dense layers are trained before the circuit, they do the narrowing: columns are standardised
only, and the last layer decides the qubits. An encoding that has room to spare gets two qubits at
least, so that there is something to entangle.

Letters: N rows, F columns of the table, n qubits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from qstore_ray.circuits.library.encodings import ENCODINGS
from qstore_ray.circuits.library.library import MAX_QUBITS
from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.prepare.quantum import HALF_TURN, preprocessing_for
from qstore_ray.data.prepare.steps import MinMax, Pca, Standard
from qstore_ray.errors import CircuitError, ConfigError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.circuits.circuit import Circuit
    from qstore_ray.data.prepare.steps import Step
    from qstore_ray.types import FloatArray

MOST_QUBITS = 8
"""Qubits that are taken where nobody says how many: a fit then takes seconds, not hours."""

Reduce: TypeAlias = Literal["pca"] | None


class Fitted(NamedTuple):
    """What turns raw rows into a circuit's features (N, n_features), and the circuit's width."""

    preparation: Preparation
    n_qubits: int
    n_features: int


def fit_features(
    x: FloatArray,
    *,
    encoding: str,
    n_qubits: int | None,
    scale: bool,
    reduce: Reduce,
    layers_end: int | None = None,
    after: tuple[Step, ...] = (),
) -> Fitted:
    """The preparation of the rows `x` (N, F) for `encoding`, fitted on them.

    Args:
        n_qubits: n; None for as many as the columns need, `MOST_QUBITS` at most.
        scale: bring every column into the encoding's range; without it features are angles as they
            are.
        reduce: `pca` projects columns that do not fit, standardised unless `scale` is off.
        layers_end: the width of the last of the dense layers before the circuit, if there are any.
        after: further steps.

    Raises:
        UnknownNameError: no such encoding.
        ConfigError: a wrong `reduce`, or a table too wide without it.
        CircuitError: a number of qubits that the encoding cannot take.
        DataError: features that overflow, or that the encoding cannot take.
    """
    if encoding not in ENCODINGS:
        raise unknown_name_error("encoding", encoding, ENCODINGS, field="encoding")
    _check_reduce(reduce)
    if n_qubits is not None and not 1 <= n_qubits <= MAX_QUBITS:
        raise ConfigError(
            f"a circuit has 1 to {MAX_QUBITS} qubits",
            field="n_qubits",
            value=n_qubits,
            fix=f"Take None for as many as the features need, {MOST_QUBITS} at most.",
        )
    n_rows, n_columns = x.shape
    if layers_end is not None:
        preparation = Preparation.fit((Standard(),) if scale else (), x)
        return Fitted(preparation, n_qubits or _qubits(encoding, layers_end), n_columns)
    room = most_features(encoding, MOST_QUBITS if n_qubits is None else n_qubits)
    width = n_columns
    steps: tuple[Step, ...] = ()
    if n_columns > room:
        if reduce is None:
            raise _too_wide_error(encoding, n_columns, n_qubits, room)
        width = max(1, min(room, n_rows))
        steps = (Pca(components=width),)
        if scale:
            steps = (Standard(), *steps)
    if n_qubits is None:
        n_qubits = _qubits(encoding, width)
    if scale:
        steps += preprocessing_for(encoding, n_qubits, width)
    preparation = Preparation.fit((*steps, *after), x)
    return Fitted(preparation, n_qubits, preparation.apply(x[:1]).shape[1])


def fit_own_features(
    x: FloatArray,
    circuit: Circuit,
    *,
    scale: bool,
    reduce: Reduce,
    layers_end: int | None = None,
    after: tuple[Step, ...] = (),
) -> Fitted:
    """The preparation of the rows `x` (N, F) for a circuit of the user's own, fitted on them.

    Features are taken for angles and scaled to [0, π]. Arguments as of `fit_features`.

    Raises:
        ConfigError: a wrong `reduce`, or a table too wide without it.
        CircuitError: fewer columns than the circuit has features.
    """
    _check_reduce(reduce)
    n_qubits, width, n_columns = circuit.template.n_qubits, circuit.n_features, x.shape[1]
    if layers_end is not None:
        return Fitted(Preparation.fit((Standard(),) if scale else (), x), n_qubits, n_columns)
    if n_columns < width:
        raise CircuitError(
            f"the circuit takes {width} features, there are {n_columns} columns",
            field="circuit",
            value=circuit.name,
            fix="Give as many columns, or name fewer of its parameters in features.",
        )
    steps: tuple[Step, ...] = ()
    if n_columns > width:
        if reduce is None:
            raise ConfigError(
                f"the circuit takes {width} features, there are {n_columns} columns",
                field="reduce",
                fix="Set reduce='pca', or give as many columns.",
            )
        if len(x) < width:
            raise ConfigError(
                f"{len(x)} rows have no {width} principal components, which the circuit takes",
                field="reduce",
                value=reduce,
                fix=f"Give {width} rows or more, or columns as many as the circuit has features.",
            )
        steps = (Standard(), Pca(components=width)) if scale else (Pca(components=width),)
    if scale:
        steps += (MinMax(feature_range=(0.0, HALF_TURN["angle"]), clip=True),)
    return Fitted(Preparation.fit((*steps, *after), x), n_qubits, width)


def _check_reduce(reduce: Reduce) -> None:
    if reduce not in ("pca", None):
        raise ConfigError("no such reduction", field="reduce", value=reduce, fix="Take 'pca'.")


def most_features(encoding: str, n_qubits: int) -> int:
    """The most features that an encoding takes on that many qubits."""
    special: dict[str, int] = {
        "dense_angle": 2 * n_qubits,
        "amplitude": 2**n_qubits,
        "hamiltonian": n_qubits - 1,
    }
    return special.get(encoding, n_qubits)


def _qubits(encoding: str, width: int) -> int:
    """The fewest qubits for that many features, 2 at least where there may be more of them."""
    if encoding == "zz":
        return width
    special: dict[str, int] = {
        "dense_angle": -(-width // 2),
        "amplitude": width.bit_length(),  # one more for the constant
        "hamiltonian": width + 1,
    }
    return max(2, min(special.get(encoding, width), MOST_QUBITS))


def _too_wide_error(encoding: str, n_columns: int, n_qubits: int | None, room: int) -> ConfigError:
    chosen = f"{MOST_QUBITS} qubits, the most that are chosen by themselves"
    where = chosen if n_qubits is None else f"{n_qubits} qubits"
    return ConfigError(
        f"the encoding {encoding} takes at most {room} features on {where}; there are {n_columns}",
        field="reduce",
        fix="Set reduce='pca', a larger n_qubits, or the encoding dense_angle or amplitude.",
    )
