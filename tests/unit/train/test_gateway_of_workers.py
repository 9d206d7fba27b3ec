"""Several workers cannot each have a gateway of their own."""

from __future__ import annotations

import pytest

from qstore_ray.errors import ConfigError
from qstore_ray.train.config import TrainerConfig


def test_several_workers_share_no_gateway_in_a_process():
    options = {"device": "ibm_fez", "where": "process"}
    with pytest.raises(ConfigError, match="2 worker processes") as caught:
        TrainerConfig(backend="ibm", num_workers=2, backend_options=options)
    assert caught.value.field == "backend_options.where"


@pytest.mark.parametrize(("where", "workers"), [("process", 0), ("auto", 2), ("ray", 2)])
def test_one_gateway_is_enough_for_all_workers(where, workers):
    options = {"device": "ibm_fez", "where": where}
    trainer = TrainerConfig(backend="ibm", num_workers=workers, backend_options=options)
    assert trainer.backend_options["where"] == where
