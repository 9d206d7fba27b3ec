"""QS106: a trained parameter, or an angle of the data, on which nothing that is measured depends.

Found by evaluating circuits, not by reading code: each bundled ansatz in several sizes, with every
single-qubit Pauli measured, and the model of each bundled job, with what the job measures.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qstore_ray.review.rules.base import CodeRule, Match
from tools.gates.rules.base import Found, RepositoryRule
from tools.gates.source import Repository

_ANSATZE = "qstore_ray/circuits/library/ansatze.py"
_JOBS = ("jobs/*.toml", "examples/*.toml")
_SIZES = ((2, 1), (3, 2), (4, 1), (4, 2), (5, 3))


def _find(repository: Repository) -> Iterator[Found]:
    lines = {module.path: module.text.splitlines() for module in repository.package}
    for name, message in unreached_in_ansatze():
        builder = f"def {name}("
        text = lines.get(_ANSATZE, [])
        line = next((n for n, line in enumerate(text, 1) if line.startswith(builder)), 1)
        yield _ANSATZE, Match(line, line, message)
    for pattern in _JOBS:
        for file in sorted(repository.root.glob(pattern)):
            if message := unreached_in_job(file):
                path = file.relative_to(repository.root).as_posix()
                line = file.read_text(encoding="utf-8").split("[model]")[0].count("\n") + 1
                yield path, Match(line, line, message)


def unreached_in_ansatze() -> Iterator[tuple[str, str]]:
    """Name of each bundled ansatz with dead parameters in one of the sizes, and a message."""
    from qstore_ray.circuits.library.library import ANSATZE, kept_qubits
    from qstore_ray.circuits.observable import named_observables
    from qstore_ray.circuits.template import Template
    from qstore_ray.simulate.cones.reach import unreached_slots

    for name in sorted(ANSATZE):
        for n_qubits, layers in _SIZES:
            blocks: tuple[Template, ...] = ANSATZE[name](n_qubits, layers, "ring")
            whole = blocks[0]
            for block in blocks[1:]:
                whole = whole.then(block)
            measured = named_observables("x+y+z", kept_qubits(name, n_qubits, layers))
            if dead := unreached_slots(_after_data(whole), measured).params:
                yield (
                    name,
                    (
                        f"on {n_qubits} qubits with {layers} layers, {len(dead)} of "
                        f"{whole.n_params} parameters change nothing: {_few(dead)}."
                    ),
                )
                break


def _after_data(ansatz: Any) -> Any:
    """The ansatz on a state that is no eigenstate of anything, as data would leave it."""
    from qstore_ray.circuits.template import Op, Template, row

    n = ansatz.n_qubits
    turns = [
        Op(gate, (q,), (row(2 * q + i),)) for q in range(n) for i, gate in enumerate(("ry", "rx"))
    ]
    return Template(n, tuple(turns), n_rows=2 * n).then(ansatz)


def unreached_in_job(file: Path) -> str:
    """What a model of the library trains or reads in vain; "" if nothing. `file` is a job."""
    from qstore_ray.circuits.library.library import build_circuit
    from qstore_ray.learn.config import ModelConfig
    from qstore_ray.learn.goal import observables_of
    from qstore_ray.simulate.cones.reach import unreached_slots

    table = tomllib.loads(file.read_text(encoding="utf-8"))
    model = ModelConfig.model_validate(table.get("model", {}))
    if model.circuit != "library" or model.encoding == "amplitude":
        return ""
    circuit = build_circuit(
        encoding=model.encoding,
        ansatz=model.ansatz,
        n_qubits=model.n_qubits,
        n_features=_features(table, model.n_qubits),
        layers=model.layers,
        entanglement=model.joined,
        reuploading=model.reuploading,
    )
    template = circuit.template
    dead = unreached_slots(template, observables_of(model, template))
    said = []
    if dead.params:
        said.append(f"{len(dead.params)} of {template.n_params} parameters ({_few(dead.params)})")
    if dead.rows:
        said.append(f"{len(dead.rows)} of {template.n_rows} angles of the data ({_few(dead.rows)})")
    return f"{' and '.join(said)} reach no observable." if said else ""


def _features(table: dict[str, Any], n_qubits: int) -> int:
    """F, as the preparation leaves it; without a projection, one feature a qubit."""
    for step in table.get("dataset", {}).get("preprocessing", []):
        if "components" in step:
            return int(step["components"])
    return n_qubits


def _few(numbers: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    return f"{shown}, …" if len(numbers) > 8 else shown


RULE = RepositoryRule(
    CodeRule(
        id="QS106",
        title="parameter that reaches no observable",
        reason="Its derivative is zero everywhere: the optimizer carries it along, its shifts are "
        "paid for on a device, and a report counts it as capacity that the model does not have. An "
        "angle of the data there is a feature that the model cannot see.",
        suggestion="Measure an observable that sees it (add x, or zz), or leave the gate out.",
    ),
    _find,
)
"""Nothing is trained in vain."""
