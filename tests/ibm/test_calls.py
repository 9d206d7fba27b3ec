"""Predictions, scores and kernels outside a run have ledgers of their own, and are closed."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.gateway import access
from qstore_ray.backends.ibm.gateway.access import close_gateways
from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.ledger.replay import LEDGER, replay
from qstore_ray.cli.app import main
from qstore_ray.errors import BudgetError, LedgerError
from qstore_ray.estimator.classifier import QuantumClassifier
from qstore_ray.estimator.kernel import QuantumKernelClassifier
from qstore_ray.estimator.regressor import QuantumRegressor
from qstore_ray.learn import step
from qstore_ray.train.model.trained import TrainedModel
from tests.ibm.test_estimate import job_file
from tests.ibm.test_searches import POLICY, options

X = np.linspace(0.0, 1.0, 12).reshape(6, 2)
Y = np.array([0, 0, 0, 1, 1, 1])


def ledgers(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.rglob(LEDGER))


def is_closed() -> bool:
    return all(host.is_empty() for host in access._hosts.values())


def simulated(folder: Path) -> TrainedModel:
    """A model that was trained without a device."""
    from qstore_ray import DatasetLoader, ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig

    quiet = TrackConfig(mlflow=False, figures=False)
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1), TrainerConfig(epochs=1), name="m",
        storage=folder / "runs", track=quiet,
    )  # fmt: skip
    return trainer.fit(DatasetLoader.from_arrays(X, Y)).model


def on_device(folder: Path, **more) -> TrainedModel:
    run = folder / "runs" / "m"
    if not run.exists():
        simulated(folder)
    return TrainedModel.load(run, IbmBackend(**options(folder, **more)))


def test_the_same_call_is_paid_once_and_another_one_has_another_ledger(ibm, tmp_path):
    model = on_device(tmp_path)
    first = model.predictions(X)
    assert is_closed()
    assert len(ibm.accepted()) == 1
    again = on_device(tmp_path).predictions(X)  # as by another process
    assert len(ibm.accepted()) == 1, "from the ledger"
    assert all((first[name] == again[name]).all() for name in first)
    model.predict(X[:2])
    assert len(ibm.accepted()) == 2
    found = ledgers(tmp_path)
    assert len(found) == 2
    assert all(name.startswith("predict-m-") for name in found)


def test_a_call_that_was_killed_finds_its_job(ibm, tmp_path, monkeypatch):
    model, measure, forecasts = on_device(tmp_path), step.outputs_of, []

    def killed(*arguments: object):
        found = measure(*arguments)
        if forecasts:  # its job has been measured
            raise SystemExit
        forecasts.append(found)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(step, "outputs_of", killed)
        with pytest.raises(SystemExit):
            model.predict(X)
    assert is_closed()
    assert len(ibm.accepted()) == 1
    assert model.predict(X).shape == (6,)
    assert len(ibm.accepted()) == 1


def test_the_same_call_in_another_process_is_waited_for_and_pays_nothing(ibm, tmp_path, caplog):
    """The other process has the ledger open until it has measured and closed."""
    model = on_device(tmp_path)
    first = model.outputs(X)
    (path,) = tmp_path.rglob(LEDGER)
    with Ledger.open(path.parent, replay(path.parent).owner):
        found: list[np.ndarray] = []
        second = threading.Thread(target=lambda: found.append(model.outputs(X)))
        second.start()
        ibm.wait(lambda: "waiting until it is closed" in caplog.text)
        assert f"process {os.getpid()} on" in caplog.text
        assert not found
    second.join()
    assert (found[0] == first).all()
    assert len(ibm.accepted()) == 1
    assert is_closed()


def test_another_process_is_not_waited_for_longer_than_patience(ibm, tmp_path):
    on_device(tmp_path).outputs(X)
    (path,) = tmp_path.rglob(LEDGER)
    with Ledger.open(path.parent, replay(path.parent).owner):
        hasty = on_device(tmp_path, policy={**POLICY, "patience": 0.2})
        with pytest.raises(LedgerError, match=f"process {os.getpid()} on .* has this ledger open"):
            hasty.outputs(X)
    assert is_closed()


@pytest.mark.parametrize("same", [True, False])
def test_two_calls_at_once_do_not_collide(ibm, tmp_path, same):
    model = on_device(tmp_path)
    found: list[np.ndarray] = []
    rows = [X, X if same else X[::-1]]
    threads = [
        threading.Thread(target=lambda each=each: found.append(model.outputs(each)))
        for each in rows
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert len(ibm.accepted()) == (1 if same else 2)
    assert is_closed()


def test_a_call_above_the_budget_is_refused_before_its_first_job(ibm, tmp_path):
    with pytest.raises(BudgetError, match=r"may use 0\.5 seconds"):
        on_device(tmp_path, budget={"seconds": 0.5}).predict(X)
    assert ibm.accepted() == {}
    assert is_closed()


def test_evaluate_and_predict_of_the_command_line_name_their_run(ibm, tmp_path, capsys):
    path = job_file(tmp_path)
    try:
        assert main(["train", path, "--quiet"]) == 0
        trained = len(ibm.accepted())
        capsys.readouterr()
        for _ in range(2):
            assert main(["evaluate", str(tmp_path / "runs" / "tiny"), "--json"]) == 0
        out, err = capsys.readouterr()
        assert err.count("note: evaluated on ibm (fake_manila, 16 shots).") == 2
        assert "exactly" not in err
        one, two = map(json.loads, out.splitlines())
        assert one == two
        assert is_closed()
    finally:
        close_gateways()
    assert len(ibm.accepted()) == trained + 1, "scores and confusion are one measurement"
    assert [*ibm.accepted().values()][-1].executions == 6 * 16, "of the shots that the job has"
    assert [name for name in ledgers(tmp_path) if name.startswith("predict-tiny-")]
    assert "no-run" not in ledgers(tmp_path)


@pytest.mark.parametrize("kernel", ["fidelity", "projected"])
def test_a_kernel_machine_takes_the_device_by_name(ibm, tmp_path, kernel):
    given = {"backend": "ibm", "backend_options": options(tmp_path, shots=512)}
    machine = QuantumKernelClassifier(kernel=kernel, n_qubits=2, **given).fit(X, Y)
    assert len(ibm.accepted()) == 1
    assert machine.score(X, Y) >= 0.5
    assert len(ibm.accepted()) == 2
    QuantumKernelClassifier(kernel=kernel, n_qubits=2, **given).fit(X, Y).predict(X)
    assert len(ibm.accepted()) == 2, "the same machine is paid once"
    assert is_closed()
    limited = {**given, "backend_options": options(tmp_path, shots=512, budget={"executions": 9})}
    with pytest.raises(BudgetError):
        QuantumKernelClassifier(kernel=kernel, n_qubits=2, **limited).fit(X + 1.0, Y[::-1])
    assert len(ibm.accepted()) == 2


@pytest.mark.parametrize("estimator", [QuantumClassifier, QuantumRegressor])
def test_the_other_estimators_take_the_device_by_name(ibm, tmp_path, estimator):
    given = {"backend": "ibm", "backend_options": options(tmp_path)}
    found = estimator(epochs=1, batch_size=6, n_qubits=2, random_state=0, **given).fit(X, Y)
    trained = len(ibm.accepted())
    assert found.predict(X).shape == (6,)
    found.predict(X)
    assert len(ibm.accepted()) == trained + 1
    assert is_closed()


def test_a_kernel_on_a_sampling_simulator_by_name():
    given = {"backend": "statevector", "backend_options": {"shots": 64}}
    machines = [QuantumKernelClassifier(n_qubits=2, **given).fit(X, Y) for _ in range(2)]
    one, two = (machine.decision_function(X) for machine in machines)
    assert (one == two).all()
