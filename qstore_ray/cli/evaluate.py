"""`qstore evaluate`: what a trained model is worth."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.output import AsJson, Storage, examples, facts, say, say_json, table

if TYPE_CHECKING:
    from qstore_ray.data.dataset import Dataset
    from qstore_ray.train.trained import TrainedModel

EXAMPLES = examples(
    "evaluate digits",
    "evaluate runs/digits --split val",
    "evaluate digits --storage /data/runs --json",
)
_LARGEST_MATRIX = 20
_IN_UNITS = ("mae", "rmse", "mse")
_RECALL = "recall_"

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or its name.")]


def evaluate(
    run: Run,
    split: Annotated[
        str, typer.Option(metavar="SPLIT", help="The rows to score: train, val or test.")
    ] = "test",
    storage: Storage = "runs",
    as_json: AsJson = False,
) -> None:
    """Score a trained model on the data of its run.

    The data are loaded again as the run's config.toml says. If they are no longer what the model
    was trained on, nothing is computed: its test rows may have become training rows.
    """
    from qstore_ray.cli.models import open_model
    from qstore_ray.cli.reopen import dataset_of
    from qstore_ray.train.run_summary import find_run

    folder = find_run(run, storage)
    with contextlib.redirect_stdout(sys.stderr):
        dataset = dataset_of(folder)
        result = _scores(open_model(folder), dataset, split)
    if as_json:
        say_json({"name": folder.name, "run_dir": str(folder), "split": split, **result})
    else:
        say(_as_text(split, result))


def _scores(model: TrainedModel, dataset: Dataset, split: str) -> dict[str, Any]:
    found = model.evaluation(dataset, split).scores
    scores: dict[str, Any] = {**found.values, **dict.fromkeys(found.missing)}
    scores["missing"] = found.missing
    if model.model.loss.goal == "regression":
        scores["target_scaling"] = "none" if model.targets is None else "standard"
    scores["rows"] = dataset.sizes[split]
    if model.tells_classes:
        scores["classes"] = list(dataset.schema.class_names)
        scores["confusion"] = model.confusion(dataset, split).tolist()
    return scores


def _is_recall(name: str, value: Any) -> bool:
    return name.startswith(_RECALL) and isinstance(value, float)


def _as_text(split: str, result: dict[str, Any]) -> str:
    units = " (of scaled targets)" if result.get("target_scaling") == "standard" else ""
    loss = f"{result['loss']:.6g}{units}"
    lines = [("split", f"{split}, {result['rows']} rows"), ("loss", loss)]
    missing = result["missing"]
    for name, value in result.items():
        if isinstance(value, float) and name != "loss" and not name.startswith(_RECALL):
            lines.append((name, f"{value:.6g}" if name in _IN_UNITS else f"{value:.4f}"))
    lines += [(name, f"not defined: {why}") for name, why in missing.items()]
    recalls = [(n.removeprefix(_RECALL), v) for n, v in result.items() if _is_recall(n, v)]
    if 0 < len(recalls) <= _LARGEST_MATRIX:
        lines.append(("recall", ", ".join(f"{name} {value:.4f}" for name, value in recalls)))
    text = facts(lines)
    classes = result.get("classes", [])
    if not 0 < len(classes) <= _LARGEST_MATRIX:
        return text
    rows = [[name, *counts] for name, counts in zip(classes, result["confusion"], strict=True)]
    return f"{text}\n\n{table(['true / predicted', *classes], rows)}"
