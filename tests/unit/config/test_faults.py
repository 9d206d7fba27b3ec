"""All that is wrong in a configuration is said at once, each with its whole field."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from pydantic import Field

from qstore_ray.backends import BACKENDS
from qstore_ray.config import Config
from qstore_ray.errors import ConfigError
from qstore_ray.job import JobConfig
from qstore_ray.train.config import TrainerConfig

WRONG: dict[str, Any] = {
    "name": "x",
    "dataset": {
        "name": "d",
        "source": "local",
        "params": {"pat": "a.csv"},
        "split": {"train": "most", "tst": 0.2},
    },
    "model": {"layrs": 1},
    "trainer": {"epochs": 0, "schedule": 3},
}
FIELDS = (
    "dataset.params.pat", "dataset.split.train", "dataset.split.tst", "model.layrs",
    "trainer.epochs", "trainer.schedule",
)  # fmt: skip


def test_every_fault_has_its_whole_field() -> None:
    with pytest.raises(ConfigError) as caught:
        JobConfig.from_dict(WRONG)
    error = caught.value
    assert {fault.field for fault in error.faults} == set(FIELDS)
    assert error.field in FIELDS
    _, _, also = str(error).partition("Also wrong: ")
    assert [part.partition(": ")[0] for part in also.split("; ")] == [
        fault.field for fault in error.faults[1:4]
    ]
    assert str(error).count("Also wrong") == 1


def test_the_faults_travel_from_worker_to_driver() -> None:
    with pytest.raises(ConfigError) as caught:
        JobConfig.from_dict(WRONG)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert [fault.field for fault in again.faults] == [f.field for f in caught.value.faults]


def test_one_fault_says_nothing_of_others() -> None:
    data = {"name": "d", "source": "keras", "params": {"dataset": "mnist"}}
    with pytest.raises(ConfigError, match=r"^trainer\.epochs: ") as caught:
        JobConfig.from_dict({"name": "x", "dataset": data, "trainer": {"epochs": 0}})
    assert "Also wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("channel", "field", "says"),
    [
        ({"name": "bitflip", "p": 0.1}, "name", "Did you mean 'bit_flip'? Known: amplitude_"),
        ({"p": 0.1}, "name", 'Write name = "…".'),
        ({"name": "bit_flip", "p": 0.1, "q": 1}, "bit_flip.q", "Known: name, p."),
    ],
)
def test_a_table_of_one_of_several_kinds_is_named_by_one_of_theirs(
    channel: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainerConfig(noise={"gates": [{"channel": channel}]})
    assert caught.value.field == f"noise.gates.0.channel.{field}"
    assert says in caught.value.fix


def test_an_option_of_something_without_options_has_no_empty_list_of_names() -> None:
    class Bare:
        def check(self, *arguments: Any) -> None: ...
        def evaluate(self, *arguments: Any) -> None: ...

    BACKENDS.register("bare", Bare)  # type: ignore[arg-type]
    try:
        with pytest.raises(ConfigError, match="unknown option") as caught:
            TrainerConfig(backend="bare", backend_options={"shots": 3})
    finally:
        BACKENDS.unregister("bare")
    assert caught.value.fix == "No name is possible here: leave it out."


@pytest.mark.parametrize(
    ("trainer", "field"),
    [
        ({"epochs": True}, "epochs"),
        ({"clip_norm": True}, "clip_norm"),
        ({"noise": {"readout": True}}, "noise.readout"),
        ({"noise": {"readout": {0: True}}}, "noise.readout"),
        ({"noise": {"readout": [[True, 0], [0, True]]}}, "noise.readout"),
        ({"mitigation": {"twirl": True}, "noise": {"readout": 0.1}}, "mitigation.twirl"),
        ({"mitigation": {"zne": {"scales": [True, 3]}}}, "mitigation.zne.scales"),
    ],
)
def test_true_is_not_taken_for_the_number_1(trainer: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match="not true or false") as caught:
        TrainerConfig.from_dict(trainer)
    assert caught.value.field == field


def test_true_is_taken_where_it_is_meant() -> None:
    zne = {"readout": "inverse", "zne": True}
    trainer = TrainerConfig.from_dict({"mitigation": zne, "noise": {"readout": 0.1, "twirl": True}})
    assert trainer.mitigation is not None
    assert trainer.mitigation.zne is not None
    assert trainer.noise is not None
    assert trainer.noise.twirl


@pytest.mark.parametrize("words", ["a list", "a table"])
def test_a_wrong_kind_of_value_is_said_in_words_of_toml(words: str) -> None:
    given = {"monitored": {"a": 1}} if words == "a list" else {"options": [1]}

    class Folder(Config):
        monitored: tuple[str, ...] = ()
        options: dict[str, int] = Field(default_factory=dict)

    with pytest.raises(ConfigError, match=f"{words} is needed"):
        Folder(**given)
