"""The Python of the guide to hardware runs as it stands there, against the stand-in."""

from __future__ import annotations

from qstore_ray.backends.ibm.gateway.access import close_gateways
from tests.guides import blocks_of


def test_the_guide_to_hardware_runs(ibm, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    names: dict[str, object] = {"__name__": "guide"}
    try:
        for block in blocks_of("hardware.md", "python"):
            exec(compile(block, "hardware.md", "exec", dont_inherit=True), names)
    finally:
        close_gateways()
    assert "the run may use 600 seconds" in capsys.readouterr().out
    assert len(ibm.accepted()) == 5, "a step, test rows; a kernel's rows, others; a prediction"
