"""A training on the nodes of a network, of which a test sees the progress and the end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qstore_ray.track.jsonl import read_records
from tests.chaos.driver import EPOCHS, STEPS
from tests.chaos.namespaces import Network
from tests.ledger import check_run

_LONGEST = 300.0


class Training:
    """A driver on the head; its arguments are those of `tests.chaos.driver.train`."""

    def __init__(self, wires: Network, folder: Path, **options: Any) -> None:
        self.folder, self.run_dir = folder, folder / "run"
        arguments = {"resize_every": 1.0, "start_timeout": 120.0, **options}
        self.said = folder / "said.txt"
        self.process = wires.nodes[0].begin(
            "tests.chaos.driver", str(folder), json.dumps(arguments), log=self.said
        )

    def held(self, step: int) -> None:
        """Return when the training waits after this step."""
        self.wait((self.folder / f"held-{step}").exists, f"step {step}")

    def go(self, step: int) -> None:
        """It need not wait there any more."""
        (self.folder / f"go-{step}").touch()

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Return when a condition holds, while the driver lives."""
        deadline = time.monotonic() + _LONGEST
        while not condition():
            assert self.process.poll() is None, self._said()
            assert time.monotonic() < deadline, f"{what}: {self._said()}"
            time.sleep(0.05)

    def starts(self) -> list[tuple[int, int]]:
        """Each group of workers: the step that it began with, and its size."""
        records = read_records(self.run_dir / "metrics.jsonl")
        found = [record for record in records if record["event"] == "start"]
        return [(record["resumed_from_step"], record["workers"]) for record in found]

    def reasons(self) -> list[str]:
        """Why groups ended."""
        records = read_records(self.run_dir / "metrics.jsonl")
        return [record["message"] for record in records if record["event"] == "warning"]

    def end(self) -> str:
        """The parameters, as bits; the ledger, metrics and checkpoints are right."""
        self.wait_for_end()
        theta = str(json.loads(self._outcome())["theta"])
        check(self.folder, theta, self.run_dir)
        return theta

    def wait_for_end(self) -> None:
        """Return when the driver has ended well."""
        assert self.process.wait(_LONGEST) == 0, self._said()

    def error(self) -> dict[str, Any]:
        """The error that it ends with."""
        assert self.process.wait(_LONGEST) != 0
        found: dict[str, Any] = json.loads(self._outcome())
        return found

    def kill(self) -> None:
        """End the driver, if a test has left it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _outcome(self) -> str:
        path = self.folder / "result.json"
        return path.read_text() if path.exists() else ""

    def _said(self) -> str:
        return f"{self.starts()} {self._outcome()} {self.said.read_text()[-5000:]}"


def check(folder: Path, theta: str, run_dir: Path | None = None) -> None:
    """What `tests/ledger.py` checks, of a training by `tests.chaos.driver`."""
    check_run(
        run_dir or folder / "run", folder / "ledger.jsonl", bytes.fromhex(theta),
        epochs=EPOCHS, batches=STEPS,
    )  # fmt: skip
