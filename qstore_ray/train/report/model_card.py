"""The model card: what a trained model is, in Markdown, from what is known about it and no more.

After Mitchell et al. 2019, "Model Cards for Model Reporting". Every number is the model's own, or
was recorded with it; what was not recorded is marked as unknown. An accuracy has Wilson's 95 %
interval beside it, because a hundred test rows say less than a percentage with two decimals does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.template import Angle, Op, Template
from qstore_ray.data.columns import TableSchema
from qstore_ray.track.reading.statistics import Interval, wilson_interval
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.report.execution import (
    PARTS,
    execution,
    inexact,
    scored_ways,
    without_details,
)
from qstore_ray.train.run.provenance import DataOrigin, Origin

_UNKNOWN = "not recorded"
_MOST_QUBITS, _MOST_LEVELS = 8, 12
_LONGEST_LABELS, _LONGEST_ROW = 20, 12

LIMITS = """\
- It answers for every row of the right width, also for one unlike any it was trained on.
- Nothing was calibrated: a probability is a function of the outputs, not a frequency.
- {noise}; on a device, predictions will differ.
- The intervals are about chance in the choice of the rows that were scored. They do not cover
  another choice of training rows or seed, nor data from another source."""


def model_card(model: TrainedModel | str | Path, *, file: str = "model.qsm") -> str:
    """The card of a model, or of the one in a run folder, checkpoint or `.qsm` file, as Markdown.

    Args:
        file: the model file's name, in the code that loads it.

    Raises:
        CheckpointError: there is no readable model.
    """
    if not isinstance(model, TrainedModel):
        model = TrainedModel.load(model)
    origin = model.known_origin()
    name = origin.run or (origin.data.name if origin.data else "a quantum model")
    sections = {
        f"# Model card: {_text(name)}": _what(model, origin),
        "## Intended use": _use(model),
        "## Data": _data(origin),
        "## Preparation": _preparation(model),
        "## Circuit": _circuit(model),
        "## Training": _training(origin),
        "## Execution": _execution(origin),
        "## Results": _results(origin),
        "## Limits": LIMITS.format(noise=_noise(origin)),
        "## Environment": _table(("package", "version"), sorted(origin.versions.items())),
        "## Loading and predicting": _code(model, file),
        "## Licence": "To be filled in by whoever hands the model on.",
    }
    return "\n\n".join(part for section in sections.items() for part in section) + "\n"


def _what(model: TrainedModel, origin: Origin) -> str:
    kind = f"a classifier of {len(model.classes)} classes" if model.classes else "a regression"
    template = model.model.circuit.template
    trained = f"Run `{_text(origin.run)}`, " if origin.run else ""
    when = f", started {_text(origin.started)}" if origin.started else ""
    return (
        f"A variational quantum circuit of {template.n_qubits} qubits, used as {kind}; "
        f"{model.model.n_parameters} trained parameters.\n"
        f"{trained}epoch {origin.epoch}, step {origin.step}{when}."
    )


def _use(model: TrainedModel) -> str:
    rows = f"rows of {model.preparation.n_features} raw features, prepared as below"
    if not model.classes:
        return f"Predicting a number from {rows}."
    labels = [f"`{_text(label)}`" for label in model.classes[:_LONGEST_LABELS]]
    more = ", …" if len(model.classes) > _LONGEST_LABELS else ""
    return f"Distinguishing the classes {', '.join(labels)}{more}, from {rows}."


def _data(origin: Origin) -> str:
    data = origin.data
    prints = [(f"fingerprint of the {k}", v) for k, v in sorted(origin.fingerprints.items())]
    if data is None:
        return _table(("fact", "value"), [("data", _UNKNOWN), *prints])
    facts = [("name", data.name), ("task", data.task), *data.provenance.items(), *prints]
    return f"{_table(('fact', 'value'), facts)}\n\n{_splits(data)}"


def _splits(data: DataOrigin) -> str:
    """Rows of each split, and of each class in it."""
    names = data.class_names[:_LONGEST_LABELS]
    rows = [
        (split, size, *data.class_counts.get(split, [])[: len(names)])
        for split, size in data.sizes.items()
    ]
    return _table(("split", "rows", *names), rows)


def _preparation(model: TrainedModel) -> str:
    steps = model.preparation.spec()["steps"]
    before, after = model.preparation.n_features, model.model.circuit.n_features
    if not steps:
        return f"None: the {before} raw features are the circuit's."
    lines = [
        f"{number}. `{step['name']}` "
        + ", ".join(f"{k} = {_text(v)}" for k, v in step.items() if k != "name")
        for number, step in enumerate(steps, 1)
    ]
    text = "\n".join(line.rstrip() for line in lines)
    return f"{text}\n\n{before} raw features become {after}. Fitted on the training rows alone."


def _qubits(circuit: Circuit) -> str:
    n_qubits = str(circuit.template.n_qubits)
    if not circuit.wires:
        return n_qubits
    return f"{n_qubits}: numbers {', '.join(map(str, circuit.wires))} of the circuit as given"


def _circuit(model: TrainedModel) -> str:
    template, config = model.model.circuit.template, model.about["config"]
    library = config.get("circuit", "library") == "library"
    gates = ", ".join(f"{name} {n}" for name, n in sorted(Counter(_names(template)).items()))
    levels = _levels(template)
    sizes = ", ".join(f"{part} {n}" for part, n in model.model.sizes.items() if n)
    facts = [
        ("encoding", config["encoding"] if library else "the circuit's own"),
        ("ansatz", f"{config['ansatz']}, {config['layers']} layers" if library else "its own"),
        ("qubits", _qubits(model.model.circuit)),
        ("depth", len(levels)),
        ("gates", f"{len(template.ops)}: {gates}"),
        ("starts from", "amplitudes" if template.initial == "amplitudes" else "zeros"),
        ("measured", f"{len(model.model.observables)} observables"),
        ("head", model.model.head),
        ("loss", model.model.loss_name),
        ("parameters", f"{model.model.n_parameters}: {sizes}"),
    ]
    table = _table(("fact", "value"), facts)
    if template.n_qubits > _MOST_QUBITS or len(levels) > _MOST_LEVELS:
        return table
    return f"{table}\n\n```text\n{_diagram(template, levels)}\n```"


def _names(template: Template) -> Iterable[str]:
    return (op.gate for op in template.ops)


def _levels(template: Template) -> list[list[Op]]:
    """The gates by the earliest level at which they can act; their number is the depth."""
    free = [0] * template.n_qubits
    levels: list[list[Op]] = []
    for op in template.ops:
        level = max(free[qubit] for qubit in op.qubits)
        if level == len(levels):
            levels.append([])
        levels[level].append(op)
        for qubit in op.qubits:
            free[qubit] = level + 1
    return levels


def _diagram(template: Template, levels: list[list[Op]]) -> str:
    """A line a qubit, a column a level; a gate on two qubits stands on both, with their numbers."""
    lines = [f"q{qubit}: " for qubit in range(template.n_qubits)]
    for level in levels:
        cells = ["" for _ in lines]
        for op in level:
            for qubit in op.qubits:
                cells[qubit] = _label(op)
        width = max(map(len, cells))
        lines = [
            f"{line}-{cell.center(width, '-')}-" for line, cell in zip(lines, cells, strict=True)
        ]
    return "\n".join(lines)


def _label(op: Op) -> str:
    angles = f"({','.join(map(_angle, op.angles))})" if op.angles else ""
    numbers = ":".join(map(str, op.qubits))
    return f"{op.gate}{angles}" + (f"[{numbers}]" if len(op.qubits) > 1 else "")


def _angle(angle: Angle) -> str:
    text = ""
    for kind, slot, scale in angle.terms:
        factor = "" if scale == 1.0 else f"{scale:.3g}"
        joined = "+" if text and scale > 0 else ""
        text += f"{joined}{factor}{'x' if kind == 'row' else 'p'}{slot}"
    if not text:
        return f"{angle.offset:.3g}"
    return text if angle.offset == 0.0 else f"{text}{angle.offset:+.3g}"


def _training(origin: Origin) -> str:
    if not origin.trainer:
        return f"The configuration was {_UNKNOWN}."
    trainer = without_details(origin.trainer)
    set_values = sorted((k, v) for k, v in trainer.items() if v not in ({}, [], None))
    return _table(("setting", "value"), set_values)


def _execution(origin: Origin) -> str:
    """Backend, shots, noise and mitigation; what the test rows scored with them and without."""
    if not origin.trainer:
        return f"The configuration was {_UNKNOWN}."
    said = _table(("fact", "value"), execution(origin.trainer))
    n_rows = origin.data.sizes.get("test") if origin.data else None
    ways = scored_ways(origin.metrics, n_rows, origin.trainer)
    if len(ways) < 2:
        return said
    rows = [(way.said, f"{way.accuracy:.4f}", _range(way.interval)) for way in ways]
    return f"{said}\n\n{_table(('test rows', 'accuracy', '95 % interval (Wilson)'), rows)}"


def _noise(origin: Origin) -> str:
    if "noise" in inexact(origin.trainer):
        return "The noise is a model of a device"
    return "Simulated circuits have no noise"


def _results(origin: Origin) -> str:
    """Every recorded metric, the accuracies with their intervals; and the verdict."""
    if not origin.metrics:
        return f"The scores of these parameters were {_UNKNOWN}."
    intervals = {name: _interval(name, origin) for name in origin.metrics}
    rows = [
        (name, _number(value), _range(intervals[name])) for name, value in origin.metrics.items()
    ]
    table = _table(("metric", "value", "95 % interval (Wilson)"), rows)
    return f"{table}\n\nThe model is {_text(origin.verdict)}." if origin.verdict else table


def _interval(name: str, origin: Origin) -> Interval | None:
    """Of an accuracy on a split whose size is known. That of train has none: it was counted while
    the parameters changed.
    """
    split, _, kind = name.rpartition("_")
    value = origin.metrics[name]
    sizes = origin.data.sizes if origin.data else {}
    n = sizes.get("test" if split in ("baseline", *PARTS) else split, 0)
    if kind != "accuracy" or split == "train" or value is None or not n or not 0 <= value <= 1:
        return None
    return wilson_interval(round(value * n), n)


def _range(interval: Interval | None) -> str:
    return f"{interval.low:.4f} to {interval.high:.4f}, n = {interval.n}" if interval else ""


def _code(model: TrainedModel, file: str) -> str:
    proba = "\nprint(model.predict_proba(rows))" if model.classes else ""
    table = None if model.signature is None else model.signature.table
    numpy, rows = "", _example(table)
    if not rows:
        numpy = "import numpy as np\n"
        rows = f"rows = np.zeros((1, {model.preparation.n_features}))  # raw rows, one a line\n"
    return (
        f"```python\n{numpy}"
        "from qstore_ray import TrainedModel\n\n"
        f'model = TrainedModel.load("{file}")\n'
        f"{rows}print(model.predict(rows)){proba}\n"
        "```\n\n"
        f"Or in a shell: `qstore predict {file} rows.csv --output labels.csv`."
    )


def _example(table: TableSchema | None) -> str:
    """A row by the names of its columns; none if they are many, or not fit for a page."""
    if table is None or len(table.names) > _LONGEST_ROW:
        return ""
    values = {
        column.name: [column.categories[0] if column.categories else column.kind == "boolean"]
        if column.kind != "number"
        else [0.0]
        for column in table.features
    }
    text = repr(values)
    plain = text.isprintable() and "`" not in text
    return f"rows = {text}  # or a DataFrame with these columns\n" if plain else ""


def _table(header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    body = [[_text(cell) for cell in row] for row in rows]
    if not body:
        return f"This was {_UNKNOWN}."
    lines = [[_text(cell) for cell in header], ["---"] * len(header), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.6g}"


def _text(value: Any) -> str:
    """A value on one line, without what Markdown or HTML would take for their own."""
    text = " ".join(str(value).split())
    for mark, instead in (("|", "\\|"), ("<", "&lt;"), ("`", "'")):
        text = text.replace(mark, instead)
    return text
