"""IBM hardware through the gateway: jobs, requests, delays and billed seconds, ours and others'.

    python benchmarks/hardware.py                 all, into results/hardware.json and the page
    python benchmarks/hardware.py delays fairness    these alone, into the same
    python benchmarks/hardware.py page               docs/hardware-performance.md from the numbers

Parts: workers, delays, overhead, fairness, training; "training:qstore_ray" is our own trainings
alone, beside the last ones of the others. All of it talks to a stand-in of IBM's service
in a process of its own (tests/ibm) through the released client libraries; nothing ran on a QPU.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "peers"), str(HERE.parent)]  # this tree before an installed one

from hardware_gateway import delays, fairness, overhead, workers  # noqa: E402
from hardware_page import write_page  # noqa: E402
from hardware_training import SEED, trainings  # noqa: E402
from record import RESULTS, origin, write  # noqa: E402

PARTS = {
    "workers": workers, "delays": delays, "overhead": overhead, "fairness": fairness,
    "training": trainings,
}  # fmt: skip


def main() -> None:
    """Measure what is named, keep the rest, write the numbers and the page."""
    words = sys.argv[1:] or list(PARTS)
    path = RESULTS / "hardware.json"
    found: dict[str, Any] = json.loads(path.read_text())["summary"] if path.exists() else {}
    with tempfile.TemporaryDirectory(prefix="hardware-", ignore_cleanup_errors=True) as scratch:
        for word in words:
            folder = Path(scratch) / word.replace(" ", "-")
            if word.startswith("training:"):
                rows = found["training"]["found"]["rows"]
                new = trainings(folder, word.partition(":")[2])["rows"]
                again = {(row["who"], row["method"]): row for row in new}
                rows[:] = [again.get((row["who"], row["method"]), row) for row in rows]
                found["training"]["measured"] = _when()
            elif word != "page":
                found[word] = {"measured": _when(), "found": PARTS[word](folder)}
            if word != "page":
                with redirect_stdout(StringIO()):  # the parts have printed their numbers
                    write("hardware", SEED, [], **found)
    write_page()


def _when() -> dict[str, str]:
    """When, at which commit, and how busy the machine was."""
    return {**origin(), "load_average": f"{os.getloadavg()[0]:.1f}"}


if __name__ == "__main__":
    main()
