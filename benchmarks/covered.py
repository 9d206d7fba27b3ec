"""Which lines and branches the tests reach, per package of qstore_ray.

`make coverage` runs the tests under coverage.py, in this process, in those of the tests and in the
workers of Ray, and then this program: it combines what they wrote, writes `results/coverage.json`,
and fails where a package is below the bound. `[tool.coverage.run]` in pyproject.toml names what is
left out, with the reason.

Run: make coverage; python benchmarks/covered.py --last prints the last record.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from record import RESULTS, write

ROOT = Path(__file__).resolve().parent.parent
RECORD = RESULTS / "coverage.json"
LEAST_PERCENT = 95.0
MOST_MISSING = 12
COUNTS = ("covered_lines", "num_statements", "covered_branches", "num_branches")


def measured() -> dict[str, Any]:
    """What coverage.py knows of each file, with processes that ended after the tests."""
    command = [sys.executable, "-m", "coverage"]
    if list(ROOT.glob(".coverage.*")):
        subprocess.run([*command, "combine", "--quiet", "--append"], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.json"
        subprocess.run(
            [*command, "json", "--quiet", f"--include={ROOT}/qstore_ray/*", "-o", str(path)],
            cwd=ROOT,
            check=True,
        )
        files: dict[str, Any] = json.loads(path.read_text())["files"]
    return files


def package(path: str) -> str:
    """The package of a file; files beside the packages are one."""
    parts = Path(path).parts
    parts = parts[parts.index("qstore_ray") :]
    return parts[1] if len(parts) > 2 else "qstore_ray"


def by_package(files: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a package: percent of lines and branches together, as coverage.py counts them."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0] * len(COUNTS))
    for path, about in files.items():
        counts = [about["summary"][name] for name in COUNTS]
        sums[package(path)] = [a + b for a, b in zip(sums[package(path)], counts, strict=True)]
    return [
        {
            "package": name,
            "percent": round(100 * (lines + branches) / max(of_lines + of_branches, 1), 2),
            "lines": f"{lines}/{of_lines}",
            "branches": f"{branches}/{of_branches}",
        }
        for name, (lines, of_lines, branches, of_branches) in sorted(sums.items())
    ]


def missing(files: dict[str, Any]) -> list[tuple[int, str, str]]:
    """Files with the most lines and branches that no test reaches, and where these are."""
    found = []
    for path, about in files.items():
        summary = about["summary"]
        count = summary["missing_lines"] + summary["missing_branches"]
        found.append((count, path, str(about["missing_lines"])))
    return sorted(found, reverse=True)


def main() -> int:
    """Print the record; with new measurements, write it first."""
    if "--last" in sys.argv[1:]:
        if not RECORD.exists():
            print("coverage: no record; make coverage writes it")
            return 0
        last = json.loads(RECORD.read_text())
        print(f"coverage at {last['commit']}, {last['written']}")
        for row in last["rows"]:
            print("  " + "  ".join(f"{key} {value}" for key, value in row.items()))
        return 0
    files = measured()
    rows = by_package(files)
    below = [row["package"] for row in rows if row["percent"] < LEAST_PERCENT]
    for count, path, lines in missing(files)[:MOST_MISSING]:
        print(f"{count:5} not reached in {path}: {lines[:120]}")
    write("coverage", 0, rows, least_percent=LEAST_PERCENT, below=below)
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
