"""`qstore cluster`: what it says of a cluster that runs already."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from qstore_ray import cluster
from qstore_ray.cli.app import main
from qstore_ray.cluster.record import ClusterRecord
from qstore_ray.cluster.start import Started

RECORD = ClusterRecord("running", "127.0.0.1:1", "b", 1, 1, 2, 80, "", "", "", "", "", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "The cluster runs already, with 1 node and 2 CPUs.\n"),
        (["--cpus", "2"], "The cluster runs already, with 1 node and 2 CPUs.\n"),
        (["--cpus", "4"], "then qstore cluster up --cpus 4.\n"),
        (["--nodes", "2"], "then qstore cluster up --nodes 2.\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_another_size_than_that_of_the_cluster_that_runs(
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        cluster, "start_cluster", lambda *_: Started(RECORD, new=False, was_stale=False)
    )
    assert main(["cluster", "up", *words]) == 0
    err = capsys.readouterr().err
    assert err.startswith("The cluster runs already, with 1 node and 2 CPUs.")
    assert err.endswith(said)
    assert ("qstore cluster down" in err) == ("then" in said)
    assert main(["cluster", "up", *words, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["started"], shown["cpus"]) == (False, 2)


def test_nodes_are_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = replace(RECORD, nodes=3, cpus=6)
    monkeypatch.setattr(
        cluster, "start_cluster", lambda *_: Started(record, new=False, was_stale=False)
    )
    assert main(["cluster", "up"]) == 0
    assert "with 3 nodes and 6 CPUs" in capsys.readouterr().err
