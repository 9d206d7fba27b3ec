"""`make audit`: known vulnerabilities of the locked packages, but for those in `allowed.toml`.

pip-audit asks PyPI for advisories. A mirror that has none answers "not found" for every package,
and pip-audit then says that all is well. So a package with well-known vulnerabilities is asked for
first: if nothing is known of it, nothing can be audited, and the program says so.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-cpu.lock", "requirements-gpu.lock")
CONTROL = "jinja2==2.4.1"
_PROGRAM = Path(sys.executable).with_name("pip-audit")


class Advisory(NamedTuple):
    """A vulnerability of a locked package; `names` are its id and its aliases."""

    package: str
    version: str
    names: tuple[str, ...]
    fixed_in: str


class Judgement(NamedTuple):
    """What an audit found: `problems` fail it, `allowed` were reviewed."""

    problems: list[str]
    allowed: list[str]


def advisories(report: dict[str, Any]) -> list[Advisory]:
    """The advisories of pip-audit's JSON."""
    return [
        Advisory(
            package["name"],
            package["version"],
            (found["id"], *found.get("aliases", ())),
            ", ".join(found.get("fix_versions", ())) or "no release",
        )
        for package in report["dependencies"]
        for found in package.get("vulns", ())
    ]


def judge(
    found: Iterable[Advisory], allowed: Iterable[dict[str, Any]], today: dt.date
) -> Judgement:
    """Hold advisories against the list of those that were reviewed."""
    found = list(found)
    judged = Judgement([], [])
    matched: set[Advisory] = set()
    for entry in allowed:
        name = f"{entry.get('id')} of {entry.get('package')}"
        if not entry.get("reason") or not isinstance(entry.get("until"), dt.date):
            judged.problems.append(f"{name}: the entry needs a reason and a date `until`")
            continue
        here = {a for a in found if entry["id"] in a.names and entry["package"] == a.package}
        if not here:
            judged.problems.append(f"{name}: the entry matches nothing, take it out")
        elif entry["until"] < today:
            judged.problems.append(f"{name}: it was to be reviewed by {entry['until']}")
        else:
            judged.allowed.append(f"{name}: {entry['reason']}")
        matched |= here
    for each in found:
        if each not in matched:
            names = " = ".join(each.names)
            judged.problems.append(
                f"{each.package} {each.version}: {names}, fixed in {each.fixed_in}"
            )
    return judged


def audit(requirements: Path) -> dict[str, Any]:
    """pip-audit's report on a file of pinned packages; nothing is installed."""
    words = ["--disable-pip", "--no-deps", "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(
        [_PROGRAM, "--requirement", requirements, *words],
        capture_output=True, text=True, check=False, timeout=600.0,  # it asks about each package
    )  # fmt: skip
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise SystemExit(f"pip-audit failed: {done.stderr[-2000:]}") from None


def main() -> int:
    """The exit code: 1 if a vulnerability was not reviewed; 0 if all were, or nothing is known."""
    with tempfile.TemporaryDirectory() as scratch:
        control = Path(scratch) / "control.txt"
        control.write_text(f"{CONTROL}\n", encoding="utf-8")
        if not advisories(audit(control)):
            print(
                f"skipped: the index knows no advisory of {CONTROL}, so it would know none of the "
                "locked packages either; run it where pypi.org is reached directly"
            )
            return 0
    found = {each for lock in LOCKS for each in advisories(audit(ROOT / lock))}
    text = Path(__file__).with_name("allowed.toml").read_text(encoding="utf-8")
    judged = judge(
        sorted(found), tomllib.loads(text).get("allowed", ()), dt.datetime.now(dt.UTC).date()
    )
    for line in judged.allowed:
        print(f"reviewed: {line}")
    for line in judged.problems:
        print(f"problem: {line}")
    print(f"{len(found)} advisories, {len(judged.problems)} problems")
    return 1 if judged.problems else 0


if __name__ == "__main__":
    sys.exit(main())
