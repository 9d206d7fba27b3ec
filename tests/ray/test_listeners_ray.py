"""The listeners of a warm cluster: all on loopback, and which of them refuse without the token."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest
import requests

from tests.guides import blocks_of
from tests.ray.test_cluster_ray import _cluster, _of_session
from tests.security.listeners import DOORS, Listener, answers, listeners

_SECONDS_TO_START = 120.0


def _shown() -> list[tuple[str, str]]:
    """What docs/security.md asks the job server, and the answers that it shows."""
    block = blocks_of("security.md", "console")[0]
    found = re.findall(r"^\$ (curl .*)\n(.*)$", block, re.MULTILINE)
    assert [said for _, said in found] == ["401", "[]"]
    return found


def _found(pid: int) -> list[Listener]:
    """All listeners, as soon as each kind of process that has one listens."""
    kinds, deadline = {door.process for door in DOORS}, time.monotonic() + _SECONDS_TO_START
    while True:
        found = list(listeners(_of_session(pid)))
        if kinds <= {listener.process for listener in found} or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


@pytest.mark.slow
def test_every_listener_of_a_warm_cluster_is_known_and_refuses_where_ray_has_a_lock(
    tmp_path: Path,
) -> None:
    state = tmp_path / "state"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")
    } | {"XDG_STATE_HOME": str(state)}
    try:
        up = _cluster(environment, "up", "--cpus", "1")
        (file,) = state.rglob("token")
        token = file.read_text()
        found = _found(up["pid"])
        assert {listener.host for listener in found} == {"127.0.0.1"}
        met = set()
        for listener in found:
            doors = [door for door in DOORS if door.process == listener.process]
            for door in doors:
                without = answers(door, listener, None)
                if without is None:
                    continue
                met.add((listener, door))
                assert (without == "refused") is door.has_lock, (listener, door)
                wrong = answers(door, listener, "0" * 64)
                assert (wrong == "refused") is door.has_lock, (listener, door)
                assert answers(door, listener, token) == "open", (listener, door)
        assert {door for _, door in met} == set(DOORS)
        assert {listener for listener, _ in met} == set(found), "a listener that nobody knows"

        jobs = f"{up['dashboard']}/api/jobs/"
        assert requests.get(jobs, timeout=10).status_code == 401
        assert requests.post(jobs, json={"entrypoint": "true"}, timeout=10).status_code == 401
        wrong_token = {"Authorization": f"Bearer {'0' * 64}"}
        assert requests.get(jobs, headers=wrong_token, timeout=10).status_code == 403
        right = {"Authorization": f"Bearer {token}"}
        assert requests.get(jobs, headers=right, timeout=10).json() == [], "nothing was submitted"
        for command, said in _shown():
            here = command.replace("http://127.0.0.1:8265", up["dashboard"])
            here = here.replace("~/.local/state", str(state))
            done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, check=True)
            assert done.stdout.strip() == said
    finally:
        _cluster(environment, "down")
