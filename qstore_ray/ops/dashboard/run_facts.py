"""Everything that the page shows of one run, and the files of it that a browser may have."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from qstore_ray.backends.failover import fallback_text
from qstore_ray.backends.paid import PaidUsage
from qstore_ray.config import read_toml
from qstore_ray.errors import QStoreError, unknown_name_error
from qstore_ray.files import is_file
from qstore_ray.ops.dashboard.answers import hidden
from qstore_ray.ops.dashboard.listing import row_of
from qstore_ray.storage.address import shown_place
from qstore_ray.track.logs.text import as_text, cut, leaves
from qstore_ray.train.report.side_by_side import side_by_side
from qstore_ray.train.run.origin import refresh
from qstore_ray.train.run.summary import checkpoints, summarize
from qstore_ray.types import Table

REPORT: Final = "report.html"
KINDS: Final = {".png": "image/png", ".svg": "image/svg+xml", ".html": "text/html; charset=utf-8"}
"""Files that are handed out, and how."""
_LONGEST: Final = 2_000
_FIGURES: Final = (".png", ".svg")


def run_facts(identifier: str, path: Path) -> Table:
    """Everything about a run but its curves; damage is reported in it, never raised.

    Raises:
        StorageError: the object store cannot be used.
    """
    refresh(path)
    summary = summarize(path)
    paid = PaidUsage.of_metrics(summary.metrics)
    config, problem = _configuration(path)
    return {
        **row_of(identifier, summary),
        "folder": shown_place(path),
        "attempts": summary.attempts,
        "reason": summary.reason,
        "verdict": summary.verdict,
        "fallbacks": [fallback_text(step) for step in summary.fallbacks],
        "metrics": dict(summary.metrics),
        "missing": dict(summary.missing),
        "fingerprints": dict(summary.fingerprints),
        "versions": dict(summary.versions),
        "config": config,
        "config_problem": problem,
        "checkpoints": checkpoints(path),
        "hardware": None if paid is None else paid.numbers(),
        "figures": _figures(path),
        "report": REPORT if _is_file(path, REPORT) else None,
    }


def file_of(path: Path, name: str) -> Path:
    """A file of a run that a browser may have: its report, or one of its figures.

    Raises:
        UnknownNameError: any other name.
    """
    known = [*_figures(path), *([REPORT] if _is_file(path, REPORT) else [])]
    if name not in known:
        raise unknown_name_error("file", name, known, field="id")
    return path / name if name == REPORT else path / "figures" / name


def compared_runs(identifiers: Sequence[str], paths: Sequence[Path]) -> Table:
    """Several runs side by side.

    Raises:
        UsageError: fewer than two runs, or the same one twice.
        ConfigError: the configuration of a run cannot be read.
        RunError: the metrics of a run cannot be read.
    """
    for path in paths:
        refresh(path)
    found = side_by_side(paths)
    settings = {key: [_shown(value) for value in row] for key, row in found.settings.items()}
    return {
        "runs": [
            row_of(name, summary)
            for name, summary in zip(identifiers, found.summaries, strict=True)
        ],
        "settings": settings,
        "metrics": {
            name: values
            for name, values in found.metrics.items()
            if any(value is not None for value in values)
        },
        "best": dict(found.best),
    }


def _configuration(path: Path) -> tuple[list[dict[str, Any]], str]:
    """The fields of the job, by its tables; and why it cannot be read."""
    try:
        config = hidden(read_toml(path / "config.toml"))
    except QStoreError as exc:
        return [], exc.message
    tables = {"run": {}} | {k: v for k, v in config.items() if isinstance(v, dict)}
    tables["run"] = {k: v for k, v in config.items() if not isinstance(v, dict)}
    return [
        {"table": name, "fields": [[key, _shown(value)] for key, value in leaves(values)]}
        for name, values in tables.items()
        if values
    ], ""


def _shown(value: Any) -> str | None:
    return None if value is None else cut(as_text(value), _LONGEST)


def _figures(path: Path) -> list[str]:
    """The names of the pictures; one that is a link, or no text, is left out."""
    try:
        names = sorted(each.name for each in (path / "figures").iterdir())
    except OSError:
        return []
    return [
        name
        for name in names
        if name.endswith(_FIGURES) and name.isprintable() and _is_file(path / "figures", name)
    ]


def _is_file(folder: Path, name: str) -> bool:
    """Whether it is a plain file, and not a link out of the folder of the run."""
    path = folder / name
    return is_file(path) and not os.path.islink(path) and not os.path.islink(folder)  # noqa: PTH114
