"""`make mutation [ARGS="learn/schedules --share 0.2"]`: test mutants, write the figures."""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

from tools.mutation import copy, page
from tools.mutation.lines import read_lines
from tools.mutation.mutants import Mutant, Sample, write_mutants
from tools.mutation.server import PLAN
from tools.mutation.verdicts import Verdict, matched, read_reasons

TARGETS = ("learn", "circuits", "simulate/compile")
REASONS = Path(__file__).with_name("reasons.toml")
_PYTEST = (
    *("-p", "tools.mutation.server", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov"),
    *("-o", "timeout=0", "-m", "not slow and not ray", "--capture=no", "--tb=native", "-qq"),
)


def main(words: Sequence[str] | None = None) -> None:
    """Test each target in turn; all of them have a record then, and the page is written.

    With `--only`, `--survivors` or `--tests` what became of each mutant is printed, nothing else.
    """
    parser = argparse.ArgumentParser(prog="make mutation", description=__doc__)
    parser.add_argument("targets", nargs="*", default=TARGETS, help="below qstore_ray; default all")
    parser.add_argument("--share", type=float, default=1.0, help="of the mutants, by their names")
    parser.add_argument("--seed", type=int, default=7, help="of the sample")
    parser.add_argument(
        "--only", action="append", default=[], help="the mutants of this name, or pattern with *"
    )
    parser.add_argument(
        "--survivors", action="store_true", help="those that the record has without a reason"
    )
    parser.add_argument(
        "--tests", action="append", default=[], help="a file of tests; default those of the target"
    )
    parser.add_argument("--work", help="folder of the copy and the verdicts")
    parser.add_argument("--fresh", action="store_true", help="forget the verdicts of earlier runs")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--test-seconds", type=float, default=2.0, help="a slower test is left out")
    parser.add_argument(
        "--mutant-seconds", type=float, default=4.0, help="of tests for each mutant"
    )
    parser.add_argument(
        "--survivor-seconds", type=float, default=16.0, help="of further tests if it survives these"
    )
    parser.add_argument(
        "--minutes", type=float, help="for each target; 0 only writes what is known"
    )
    parser.add_argument("--no-write", action="store_true", help="print the figures, write no file")
    given = parser.parse_args(words)
    if given.survivors:
        given.only += page.unexplained(given.targets)
    work = copy.folder(given.work)
    if given.fresh:
        shutil.rmtree(work, ignore_errors=True)
    records, stale = [], []
    for target in given.targets:
        record, lines = _record(target, given, work)
        records.append(record)
        stale += lines
        if given.only or given.tests:
            page.show_each(record)
    if not (given.only or given.tests):
        page.show(records)
    if given.only or given.tests:
        return
    if not given.no_write and set(given.targets) <= set(TARGETS):
        page.write(records, TARGETS)
    failures = [f"{REASONS.name}: {line}" for line in stale] + page.below_goal(records)
    if failures:
        raise SystemExit("\n".join(failures))


def _record(target: str, given: argparse.Namespace, work: Path) -> tuple[page.Record, list[str]]:
    """Test the mutants of one target; what was found, and a sentence for each stale reason."""
    place = work / target.replace("/", "-")
    root = place / "copy"
    copy.refresh(root)
    os.chdir(root)  # mutmut reads its configuration from the working folder
    sample = Sample(given.seed, given.share, tuple(given.only))
    make = partial(write_mutants, root, kept=place / "made", sample=sample)
    with Pool(given.processes) as pool:
        mutants = [each for found in pool.imap(make, copy.sources(target)) for each in found]
    chosen = [each for each in mutants if each.name in sample]
    print(f"{target}: {len(mutants)} mutants, {len(chosen)} of them in the sample", flush=True)
    if given.minutes != 0:
        _run(place, root, target, chosen, given)
    known = _known(place)
    verdicts = [
        Verdict(
            *(each.name, each.path.removeprefix("qstore_ray/"), each.kind, found["status"]),
            found.get("killer"),
        )
        for each in chosen
        if (found := _valid(known.get(each.name), each))
    ]
    if len(verdicts) < len(chosen) and given.minutes is None:
        raise SystemExit(f"{len(chosen) - len(verdicts)} mutants have no verdict; run this again")
    mine = [each for each in read_reasons(REASONS) if each.mutant.startswith((target, "*"))]
    reasons, stale = matched(mine, verdicts, [(each.name, each.kind) for each in mutants])
    record = page.Record(
        *(target, given.share, given.seed, given.test_seconds),
        *(given.mutant_seconds, given.survivor_seconds),
        *(mutants, verdicts, reasons),
    )
    return record, stale


def _run(
    place: Path, root: Path, target: str, chosen: list[Mutant], given: argparse.Namespace
) -> None:
    files = given.tests or copy.tests(target)
    mark = copy.helpers_digest(root, sorted({each.function for each in chosen}))
    digests = {path: f"{copy.digest(root / path)}{mark}" for path in files}
    known = _known(place)
    pending = []
    for mutant in chosen:
        found = _valid(known.get(mutant.name), mutant)
        if found and "killer" in found:
            name, _, digest = found["killer"].rpartition("@")
            if digests.get(name.partition("::")[0]) == digest:
                continue
            found = None
        pending.append({**asdict(mutant), "seen": (found or {}).get("seen")})
    scratch = place / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    plan = {
        "mutants": pending,
        "digests": digests,
        "tests": str(place / "tests.jsonl"),
        "imports": str(place / "imports.json"),
        "verdicts": str(place / "verdicts.jsonl"),
        "scratch": str(scratch),
        "processes": given.processes,
        "ends": time.time() + 60.0 * (math.inf if given.minutes is None else given.minutes),
        "test_seconds": given.test_seconds,
        "mutant_seconds": given.mutant_seconds,
        "survivor_seconds": given.survivor_seconds,
    }
    (place / "plan.json").write_text(json.dumps(plan))
    environment = {
        **os.environ,
        PLAN: str(place / "plan.json"),
        "MUTANT_UNDER_TEST": "stats",  # which functions are called by imports
        "PYTHONPATH": str(root),
        "TMPDIR": str(scratch),
    }
    command = [sys.executable, "-m", "pytest", *_PYTEST, *files]
    # gate: QS103 because it takes hours, and each mutant has its time limit
    if subprocess.run(command, cwd=root, env=environment, check=False).returncode:
        raise SystemExit(f"the tests of {target} did not start; no verdict is written")


def _known(place: Path) -> dict[str, dict[str, Any]]:
    """The last verdict on each mutant."""
    return {each["name"]: each for each in read_lines(place / "verdicts.jsonl")}


def _valid(found: dict[str, Any] | None, mutant: Mutant) -> dict[str, Any] | None:
    """A verdict holds while the code of the function is the same."""
    return found if found and found["digest"] == mutant.digest else None


if __name__ == "__main__":
    main()
