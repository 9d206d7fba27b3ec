"""A process that was forked off trains as one that began by itself."""

from __future__ import annotations

import multiprocessing
import os

import numpy as np
import pytest

from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.learn.config import ModelConfig
from qstore_ray.simulate.engines.threads import side_by_side
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.request import RunRequest
from qstore_ray.train.trainer import QuantumTrainer

LONGEST = 60.0


def _data() -> Dataset:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1.5, 1.5, (120, 4))
    return DatasetLoader.from_arrays(x, (x[:, 0] > 0).astype(int))


def _fit(storage: str, name: str, mlflow: bool) -> str:
    """θ as bits, computed by two threads."""
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=4, layers=2),
        TrainerConfig(epochs=2, batch_size=64),
        name=name,
        storage=storage,
        track=TrackConfig(mlflow=mlflow, figures=False),
    )
    return trainer.run(_data(), RunRequest(threads=2)).model.theta.tobytes().hex()


def _answer(send, *arguments) -> None:
    send.send(_fit(*arguments))


def _in_child(how: str, *arguments) -> str:
    context = multiprocessing.get_context(how)
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(send, *arguments), daemon=True)
    child.start()
    try:
        assert receive.poll(LONGEST), "the child hangs"
        return receive.recv()
    finally:
        child.kill()
        child.join()


@pytest.mark.parametrize("mlflow", [False, True], ids=["alone", "with MLflow"])
def test_a_child_that_was_forked_off_after_a_training_trains_alike(tmp_path, mlflow):
    here = _fit(str(tmp_path), "parent", mlflow)
    assert _in_child("fork", str(tmp_path), "child", mlflow) == here


def test_so_does_one_that_was_spawned(tmp_path):
    assert _in_child("spawn", str(tmp_path), "spawned", False) == _fit(str(tmp_path), "p", False)


def test_the_pool_of_the_parent_still_works():
    done: list[int] = []
    side_by_side(done.append, [[0, 1], [2, 3]])
    child = os.fork()
    if child == 0:
        side_by_side(lambda item: None, [[0], [1]])
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    side_by_side(done.append, [[0, 1], [2, 3]])
    assert sorted(done) == [0, 0, 1, 1, 2, 2, 3, 3]
