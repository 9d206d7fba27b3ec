"""Techniques that change nothing are said before a training pays for them."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from qstore_ray.backends import open_backend
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.mitigation.backend import mitigated, open_mitigated
from qstore_ray.backends.mitigation.config import MitigationConfig
from qstore_ray.backends.mitigation.unused import unused_mitigation
from qstore_ray.circuits.observable import z_observables
from qstore_ray.circuits.template import Op, Template, param
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.trainer import QuantumTrainer

PAIR = Template(2, (Op("ry", (0,), (param(0),)), Op("cx", (0, 1))), n_params=1)
FLIP = {"name": "bit_flip", "p": 0.1}
ZNE, TWIRL, INVERSE = {"zne": {"scales": [1, 3]}}, {"twirl": 2}, {"readout": "inverse"}
CIRCUITS = {**INVERSE, "calibration": "circuits"}


@pytest.mark.parametrize(
    ("noise", "techniques", "said"),
    [
        ({"readout": 0.1}, ZNE, ["mitigation.zne"]),
        ({"readout": 0.1}, ZNE | INVERSE, ["mitigation.zne"]),
        ({"readout": 0.1, "gates": [{"channel": {**FLIP, "p": 0.0}}]}, ZNE, ["mitigation.zne"]),
        ({"readout": 0.1, "gates": [{"on": "h", "channel": FLIP}]}, ZNE, ["mitigation.zne"]),
        ({"over_rotation": 0.1}, ZNE, ["mitigation.zne"]),
        ({"over_rotation": 0.1}, ZNE | TWIRL, []),
        ({"gates": [{"channel": FLIP}]}, ZNE, []),
        ({"gates": [{"channel": FLIP}]}, ZNE | INVERSE, ["mitigation.readout"]),
        ({"gates": [{"channel": FLIP}], "readout": {1: 0.1}}, ZNE | INVERSE, []),
        ({"gates": [{"channel": FLIP}]}, CIRCUITS, []),
        ({"gates": [{"channel": FLIP}]}, TWIRL, []),
        ({"device": "fake_manila", "twirl": True}, ZNE | TWIRL | INVERSE, []),
    ],
)
def test_what_a_noise_makes_useless_is_said(noise, techniques, said):
    backend = open_mitigated("aer", {"noise": noise}, MitigationConfig.from_dict(techniques))
    assert [each.split()[0] for each in unused_mitigation(PAIR, backend)] == said


def test_shots_alone_have_nothing_to_extrapolate_or_invert():
    config = MitigationConfig.from_dict(ZNE | CIRCUITS)
    found = unused_mitigation(PAIR, open_mitigated("statevector", {"shots": 10}, config))
    assert [each.split()[0] for each in found] == ["mitigation.zne", "mitigation.readout"]


def test_no_gates_of_two_qubits_are_not_twirled():
    backend = open_mitigated("statevector", {"noise": {"readout": 0.1}}, MitigationConfig(twirl=2))
    (said,) = unused_mitigation(Template(1, (Op("x", (0,)),)), backend)
    assert said.startswith("mitigation.twirl")


def test_nothing_is_said_of_a_backend_with_unknown_noise():
    class Remote:
        """A backend that does not say its noise."""

        def __init__(self):
            self._inner = open_backend("statevector", {})
            self.name, self.samples = "remote", True
            self.check, self.evaluate = self._inner.check, self._inner.evaluate

    assert unused_mitigation(PAIR, mitigated(Remote(), MitigationConfig(zne=True), shots=5)) == []
    assert unused_mitigation(PAIR, open_backend("statevector", {})) == []


def test_extrapolating_wrong_readout_changes_no_value():
    """What the warning says."""
    noise = {"noise": {"readout": 0.1}}
    row = (PAIR, z_observables(2), Bindings(np.zeros((1, 0)), np.array([0.4])))
    plain = open_backend("statevector", noise).evaluate(*row, key=DrawKey((1,)))
    zne = open_mitigated("statevector", noise, MitigationConfig(zne=True))
    np.testing.assert_allclose(
        zne.evaluate(*row, key=DrawKey((1,))).values, plain.values, atol=1e-12
    )


def test_a_training_says_it_before_it_begins(caplog, tmp_path):
    rng = np.random.default_rng(0)
    dataset = DatasetLoader.from_arrays(rng.normal(size=(40, 2)), rng.integers(0, 2, 40))
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1),
        TrainerConfig(epochs=1, noise={"readout": 0.1}, mitigation=ZNE),
        storage=str(tmp_path),
        track=TrackConfig(mlflow=False, figures=False),
    )
    with caplog.at_level(logging.WARNING, "qstore_ray.train.checks"):
        trainer.fit(dataset)
    said = [record.getMessage() for record in caplog.records]
    assert sum(each.startswith("mitigation.zne changes nothing") for each in said) == 1
