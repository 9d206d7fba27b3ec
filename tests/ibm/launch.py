"""Starts the stand-in in a thread or in a process, and talks to its control endpoints."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tests.ibm.faults import Fault
from tests.ibm.journal import JobEntry, jobs_of
from tests.ibm.server import Server
from tests.ibm.settings import PATH, Settings

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Loopback:
    """A running stand-in, wherever it runs."""

    url: str
    settings: Settings

    def environment(self, home: Path) -> dict[str, str]:
        """Variables with which `QiskitRuntimeService()` finds it, and no saved account."""
        return {
            "HOME": str(home),
            "IAM_URL": f"{self.url}/iam",
            "GLOBAL_SEARCH_URL": f"{self.url}/search",
            "GLOBAL_CATALOG_URL": f"{self.url}/catalog",
            "QISKIT_IBM_URL": self.url + PATH,
            "QISKIT_IBM_TOKEN": self.settings.api_key,
            "QISKIT_IBM_INSTANCE": self.settings.crn,
            "QISKIT_IBM_CHANNEL": "ibm_quantum_platform",
            "USAGE_DATA_OPT_OUT": "True",  # else every request inspects the stack of its caller
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def inject(self, fault: Fault) -> None:
        """Let `fault` happen."""
        self._control("POST", "faults", asdict(fault))

    def clear(self) -> None:
        """Forget the faults that still wait, and end maintenance."""
        self._control("DELETE", "faults")

    def advance(self, seconds: float) -> None:
        """Skip `seconds` of the service's time; a job that runs takes its time all the same."""
        self._control("POST", "clock", {"seconds": seconds})

    def requests(self) -> dict[str, int]:
        """How many requests of each kind were made."""
        return self._control("GET", "requests")

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, oldest first, as the API describes them, with "reads" of their results."""
        return self._control("GET", "jobs")

    def journal(self) -> list[dict[str, Any]]:
        """All entries of the journal."""
        return self._control("GET", "journal")

    def accepted(self) -> dict[str, JobEntry]:
        """The journal's accepted jobs by id."""
        return jobs_of(self.journal())

    def usage(self) -> float:
        """Seconds billed to the instance."""
        return self._control("GET", "usage")

    def wait(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until `condition` holds; raises TimeoutError after `seconds`."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"{condition} does not hold after {seconds} s")
            time.sleep(0.01)

    def _control(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        json_headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(
            f"{self.url}/control/{path}", data, json_headers, method=method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None


@contextmanager
def in_thread(**settings: Any) -> Iterator[Loopback]:
    """A stand-in in this process, which has loaded the client's package anyway."""
    made = Settings(**settings)
    server = Server(made)
    try:
        yield Loopback(server.url, made)
    finally:
        server.close()


@contextmanager
def in_process(**settings: Any) -> Iterator[Loopback]:
    """A stand-in in a process of its own, which ends with this one."""
    made = Settings(**settings)
    command = [sys.executable, "-m", "tests.ibm.server", "--until-stdin-ends", *arguments(made)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the stand-in did not start"
        try:
            yield Loopback(url, made)
        finally:
            process.stdin.close()
            process.wait(timeout=60)


def arguments(settings: Settings) -> list[str]:
    """The command line that gives these settings."""
    words: list[str] = []
    for field in fields(Settings):
        value, option = getattr(settings, field.name), "--" + field.name.replace("_", "-")
        if value == field.default:
            continue
        if field.name == "paced":
            words.append(option)
        elif field.name == "faults":
            words += [word for each in value for word in ("--fault", json.dumps(asdict(each)))]
        elif field.name == "backend":
            words += [word for name in value for word in (option, name)]
        else:
            words += [option, "none" if value is None else str(value)]
    return words
