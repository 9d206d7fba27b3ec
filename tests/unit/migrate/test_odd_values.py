"""Old files with values of any kind: each key is listed, and all errors are ours."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.errors import DataError, UsageError
from qstore_ray.job import JobConfig
from qstore_ray.migrate import reading
from qstore_ray.migrate.migrate import MigratedJob, migrate_file, migrate_paths, write_jobs
from qstore_ray.migrate.reading import TRAINING_FIELDS

IRIS = ["dataset.name=iris", "dataset.source=sklearn", "dataset.params.dataset=iris"]
NAMES = ["lr", "gamma", "step_size", "max_lr", "warmup_steps", "T_max", "mode", "factor", "format",
         "train", "type", "feature_columns", "test_split", "image_size", "split_mapping",
         "color_mode", "dataset_module", "dataset_id"]  # fmt: skip
WORDS = [
    *("adam", "sgd", "step", "cosine", "cyclic", "warmup", "plateau", "onecycle", "keras"),
    *("huggingface", "local", "backend_api", "csv", "images", "hdf5", "numpy", "uniform"),
]

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS)
odd = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=6,
)
DATASET_FIELDS = ["name", "source", "source_params", "preprocessing", "split_config", "cache_dir"]
SEARCHES = {
    "GridSearch": "param_grid",
    "RandomSearch": "param_distributions",
    "BayesianOptimizer": "param_bounds",
}


def of_json(values: Any, tmp_path: Path, changes: list[str] = IRIS) -> MigratedJob:
    file = tmp_path / "old.json"
    file.write_text(json.dumps(values))
    (job,) = migrate_file(file, changes).jobs
    return job


def of_python(text: str, tmp_path: Path) -> MigratedJob:
    file = tmp_path / "old.py"
    file.write_text(f"from q_store.data import DatasetConfig\nfrom q_store.ml import *\n"
                    f"from q_store.ml import TrainingConfig, QuantumModel\n{text}\n")  # fmt: skip
    (job,) = migrate_file(file, IRIS).jobs
    return job


def key(job: MigratedJob, name: str) -> tuple[str, str]:
    (found,) = [each for each in job.keys if each.old == name]
    return found.state, found.text


def check(job: MigratedJob) -> None:
    """It is complete, or says what is missing; its text is TOML in both cases."""
    values = tomllib.loads(job.toml)
    if not job.missing:
        JobConfig.from_dict(values)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(TRAINING_FIELDS - {"callbacks"})), odd, max_size=4))
def test_a_training_with_values_of_any_kind(tmp_path_factory, values):
    check(of_json({"training": {"n_qubits": 4} | values}, tmp_path_factory.mktemp("old")))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["keras", "huggingface", "local", "backend_api"]),
    st.dictionaries(st.sampled_from(NAMES), odd, max_size=4),
    st.dictionaries(st.sampled_from(["name", "preprocessing", "split_config"]), odd, max_size=2),
    st.sampled_from(["csv", "images", "numpy", "hdf5", "tfrecord"]),
)
def test_data_with_values_of_any_kind(tmp_path_factory, source, params, more, form):
    values = {"source": source, "source_params": {"format": form} | params} | more
    check(of_json({"dataset": values}, tmp_path_factory.mktemp("old"), []))


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(SEARCHES)), odd, odd)
def test_a_search_with_limits_of_any_kind(tmp_path_factory, kind, limits, callbacks):
    values = {
        "training": {"n_qubits": 4, "callbacks": callbacks},
        kind: {SEARCHES[kind]: {"lr": limits, "noise": limits}},
    }
    check(of_json(values, tmp_path_factory.mktemp("old")))


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ("callbacks=[], early_stopping_patience=3, checkpoint_directory=[root]",
         "checkpoint_directory"),
        ("learning_rate=...", "learning_rate"),
        ("epochs=count(3)", "epochs"),
        ("optimizer=[best]", "optimizer"),
    ],
)  # fmt: skip
def test_a_value_with_a_computed_part_is_unknown_and_not_written(argument, name, tmp_path):
    job = of_python(f"config = TrainingConfig({argument})", tmp_path)
    state, text = key(job, f"TrainingConfig.{name}")
    assert state in ("unknown", "changed"), text
    check(job)
    assert "root" not in job.toml
    assert "Ellipsis" not in job.toml


def test_a_null_of_json_leaves_our_default(tmp_path):
    job = of_json({"training": {"n_qubits": 4, "checkpoint_interval": None}}, tmp_path)
    assert key(job, "TrainingConfig.checkpoint_interval")[0] == "unknown"
    assert "checkpoint_every_epochs" not in tomllib.loads(job.toml).get("trainer", {})
    check(job)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"lr_scheduler": "step", "lr_scheduler_params": {"step_size": "two"}}, "step_size"),
        ({"lr_scheduler": "exponential", "lr_scheduler_params": {"gamma": None}}, "gamma"),
        ({"lr_scheduler": "cyclic", "learning_rate": "fast",
          "lr_scheduler_params": {"max_lr": 0.1, "step_size": 2}}, "learning_rate"),
    ],
)  # fmt: skip
def test_a_schedule_is_not_computed_from_what_is_no_number(values, words, tmp_path):
    job = of_json({"training": {"n_qubits": 4} | values}, tmp_path)
    state, text = key(job, "TrainingConfig.lr_scheduler")
    assert (state, f"{words} cannot be known" in text) == ("unknown", True), text
    assert "schedule" not in tomllib.loads(job.toml)["trainer"]


def test_a_schedule_that_needs_the_rate_waits_for_a_computed_one(tmp_path):
    """eta_min is a share of the rate here; a share of the default rate would be another one."""
    line = "TrainingConfig(learning_rate=r, lr_scheduler={!r}, lr_scheduler_params={})"
    cosine = of_python(line.format("cosine", {"T_max": 4, "eta_min": 0.001}), tmp_path)
    assert key(cosine, "TrainingConfig.lr_scheduler")[0] == "unknown"
    step = of_python(line.format("step", {"step_size": 2, "steps": 4}), tmp_path)
    assert key(step, "TrainingConfig.lr_scheduler")[0] == "renamed"
    assert "steps" in key(step, "TrainingConfig.lr_scheduler_params")[1]


@pytest.mark.parametrize(
    ("params", "state"), [("options()", "unknown"), ("[1, 2]", "unknown"), ("{}", "unknown")]
)
def test_parameters_of_a_schedule_that_are_no_table(params, state, tmp_path):
    job = of_python(f"TrainingConfig(lr_scheduler='step', lr_scheduler_params={params})", tmp_path)
    states = {each.old.partition(".")[2]: each.state for each in job.keys}
    assert state in (states.get("lr_scheduler_params"), states.get("lr_scheduler"))
    assert "schedule" not in tomllib.loads(job.toml)["trainer"]


def test_a_warmup_of_one_epoch_is_a_constant_rate(tmp_path):
    """The old rate in epoch t was (t + 1)/W of the target: all of it at once for W = 1."""
    values = {"lr_scheduler": "warmup", "lr_scheduler_params": {"warmup_steps": 1}}
    job = of_json({"training": {"n_qubits": 4} | values}, tmp_path)
    assert tomllib.loads(job.toml)["trainer"]["schedule"] == "constant"


def test_the_cycle_is_the_whole_run(tmp_path):
    values = {"lr_scheduler": "onecycle", "lr_scheduler_params": {"total_steps": 9}}
    job = of_json({"training": {"n_qubits": 4} | values}, tmp_path)
    options = tomllib.loads(job.toml)["trainer"]["schedule_options"]
    assert (options["pct_start"], options["anneal_strategy"]) == (0.3, "linear")
    assert "the whole run" in key(job, "TrainingConfig.lr_scheduler")[1]
    check(job)


@pytest.mark.parametrize(
    ("source", "params", "name"),
    [
        ("csv", "{'format': 'csv', 'file_path': 'a.csv', 'feature_columns': COLUMNS()}",
         "feature_columns"),
        ("csv", "{'format': 'csv', 'file_path': 'a.csv', 'test_split': share()}", "test_split"),
        ("images", "{'format': 'images', 'image_dir': 'a', 'image_size': size()}", "image_size"),
    ],
)  # fmt: skip
def test_no_computed_parameter_of_the_data_is_lost(source, params, name, tmp_path):
    job = of_python(f"DatasetConfig('rows', 'local_files', {params})", tmp_path)
    assert key(job, f"source_params.{name}")[0] == "unknown"


@pytest.mark.parametrize(
    ("values", "name", "state", "words"),
    [
        ({"source": "local", "name": "a",
          "source_params": {"format": "images", "image_dir": "a", "color_mode": "rgba"}},
         "source_params.color_mode", "dropped", "RGB or L"),
        ({"source": "local", "name": "a", "source_params": {"format": "images", "image_dir": "a"}},
         "source_params.color_mode", "default", ""),
        ({"source": "local", "name": "a", "source_params": [1]}, "DatasetConfig.source_params",
         "unknown", "dataset.params"),
        ({"source": "keras", "name": "mnist", "source_params": {}}, "DatasetConfig.name",
         "changed", "needed dataset_module"),
        ({"source": "keras", "name": "mnist", "split_config": [0.8, 0.2]},
         "DatasetConfig.split_config", "unknown", "write it yourself"),
        ({"source": "huggingface", "name": "a",
          "source_params": {"dataset_name": "a/b", "split_mapping": {"train": ["train", "more"]}}},
         "source_params.split_mapping", "dropped", "dataset.split"),
        ({"source": "huggingface", "name": "a",
          "source_params": {"dataset_name": "a/b", "split_mapping": "train"}},
         "source_params.split_mapping", "unknown", "no table"),
        ({"source": "backend_api", "name": "a",
          "source_params": {"headers": {"token": "k7Qp2ZtR9vLx4WmN"}, "api_client": "a"}},
         "source_params.headers", "dropped", "QSTORE_DATA_TOKEN"),
        ({"source": "local", "name": "a",
          "source_params": {"format": "numpy", "train_data": "x.npy", "val_data": "v.npy"}},
         "source_params.val_data", "dropped", "savez"),
    ],
)  # fmt: skip
def test_what_the_data_need_is_said(values, name, state, words, tmp_path):
    job = of_json({"dataset": values}, tmp_path, [])
    found = [(each.state, words in each.text) for each in job.keys if each.old == name]
    assert (state, True) in found
    assert "k7Qp2ZtR9vLx4WmN" not in job.toml + repr(job.keys)


def test_data_without_a_name_have_that_of_their_source(tmp_path):
    values = {"source": "local", "source_params": {"format": "csv", "file_path": "a.csv"}}
    assert tomllib.loads(of_json({"dataset": values}, tmp_path, []).toml)["dataset"]["name"] == (
        "local"
    )


def test_fields_that_a_table_of_the_program_gives_are_asked_for(tmp_path):
    job = of_python("options = {}\nTrainingConfig(epochs=3, **options)", tmp_path)
    state, text = key(job, "TrainingConfig.**")
    assert (state, "write them yourself" in text) == ("unknown", True)


def test_a_tracking_and_a_source_of_the_program(tmp_path):
    text = (
        "from q_store.ml import MLflowConfig\n"
        "TrainingConfig(epochs=3, dataset_source=best(), dataset_name='mnist')\n"
        "MLflowConfig(tracking_uri='https://mlflow.example.org', registry_uri='https://a.b')"
    )
    job = of_python(text, tmp_path)
    track = tomllib.loads(job.toml)["track"]
    assert (track["mlflow"], track["mlflow_uri"]) == (True, "https://mlflow.example.org")
    assert key(job, "TrainingConfig.dataset_name") == ("unknown", "write [dataset] yourself")
    assert "track.mlflow_uri" in key(job, "MLflowConfig.registry_uri")[1]


def test_the_sizes_of_the_model_count_not_those_of_the_training(tmp_path):
    values = {"training": {"n_qubits": 4, "circuit_depth": 5},
              "model": {"n_qubits": 6, "hardware_efficient": True}}  # fmt: skip
    job = of_json(values, tmp_path)
    model = tomllib.loads(job.toml)["model"]
    assert (model["n_qubits"], model["ansatz"]) == (6, "hardware_efficient")
    assert "model.layers" in {each.new for each in job.keys if each.state == "default"}
    for name in ("n_qubits", "circuit_depth"):
        assert key(job, f"TrainingConfig.{name}")[0] == "dropped"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("training: [1", "is no YAML"),
        ("training: {n_qubits: 4, ? [1, 2] : 3}", "YAML"),
        ("training: &a {n_qubits: 4, self: *a}", "is no YAML"),
    ],
    ids=["torn", "list as a name", "alias of itself"],
)  # fmt: skip
def test_yaml_that_is_no_table_is_refused(text, words, tmp_path):
    file = tmp_path / "old.yaml"
    file.write_text(text)
    with pytest.raises(DataError, match=words):
        migrate_file(file)


def test_what_aliases_repeat_counts_as_text(tmp_path, monkeypatch):
    """A file of 1 MiB with twenty aliases would grow by a factor of thousand."""
    monkeypatch.setattr(reading, "_LARGEST_WRITTEN_OUT", 200)
    file = tmp_path / "old.yaml"
    start = "training: {max_shots: 4, epochs: 2, base_shots: 4"
    file.write_text(f"{start}, tags: &a [{'1, ' * 20}], more: [*a, *a]}}")
    with pytest.raises(DataError, match="aliases written out"):
        migrate_file(file)
    file.write_text(f"{start}, tags: [{'1, ' * 20}]}}")
    assert migrate_file(file).product == "q_store"


def test_names_and_dates_of_yaml_are_texts(tmp_path):
    file = tmp_path / "old.yaml"
    file.write_text("training: {max_circuit_depth: 4, 5: 2020-01-02, true: 1}\n")
    (job,) = migrate_file(file, IRIS).jobs
    values = {each.old: each.value for each in job.keys}
    assert values["TrainingConfig.5"] == "2020-01-02"
    assert "TrainingConfig.true" in values
    check(job)


@pytest.mark.parametrize("name", ["old.json", "old.yaml", "old.toml", "old.py"])
def test_a_file_that_cannot_be_read_says_why(name, tmp_path):
    file = tmp_path / name
    file.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(DataError, match="UnicodeDecodeError"):
        migrate_file(file)
    file.write_text(" " * (2**20 + 1))
    with pytest.raises(DataError, match="larger than 1 MiB"):
        migrate_file(file)


@pytest.mark.parametrize("name", ["old.json", "old.toml"])
def test_a_file_that_is_not_what_its_suffix_says(name, tmp_path):
    (tmp_path / name).write_text("[1")
    with pytest.raises(DataError, match=name.partition(".")[2].upper()):
        migrate_file(tmp_path / name)


def test_a_folder_without_anything_old(tmp_path):
    (tmp_path / "a.json").write_text("[1")
    (tmp_path / "b.py").write_text("import json\n")
    with pytest.raises(DataError, match="nothing here"):
        migrate_paths(tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        migrate_paths(tmp_path / "c.py")


def test_a_job_that_cannot_be_written_says_where(tmp_path):
    of_json({"training": {"n_qubits": 4}}, tmp_path)
    found = migrate_paths(tmp_path / "old.json", IRIS)
    gone = [replace(each, path=tmp_path / "gone" / "old.json") for each in found]
    with pytest.raises(UsageError, match="cannot write the file: No such file"):
        write_jobs(gone)


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("-2 + 5", 3), ("2 * 3 - 1", 5), ("9 / 3", 3.0), ("1 / 0", None), ("2 ** 3", None),
        ("'a' * 3", None), ("math.pi", 3.141592653589793), ("b'3'", None), ("{**a}", None),
    ],
)  # fmt: skip
def test_arithmetic_is_done_and_a_program_is_not_run(expression, wanted, tmp_path):
    job = of_python(f"import math\nTrainingConfig(epochs=3, learning_rate={expression})", tmp_path)
    (found,) = [each for each in job.keys if each.old == "TrainingConfig.learning_rate"]
    assert found.new_value == wanted
    assert (found.state == "unknown") == (wanted is None)


def test_methods_of_old_objects_are_listed(tmp_path):
    file = tmp_path / "old.py"
    file.write_text(
        "import q_store\nimport q_store.ml as ml\nfrom . import other\n"
        "trainer = ml.QuantumTrainer(None)\ntrainer.validate(1)\ntrainer.unheard_of(1)\n"
    )
    uses = {(use.line, use.old) for use in migrate_file(file).uses}
    assert {(1, "q_store"), (2, "q_store.ml"), (4, "QuantumTrainer"),
            (5, "QuantumTrainer.validate")} <= uses  # fmt: skip
    assert not any(line in (3, 6) for line, _ in uses)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"quantum": {"default_backend": "pennylane"}}, {}),
        ({"experiment_tracking": {"enabled": False}}, {"track": {"wandb": "off"}}),
        ({"cache_directory": "cache"}, {"dataset": {"cache_dir": "cache"}}),
        ({"models": {"random_state": None}}, {}),
    ],
)
def test_what_a_job_has_of_qemlflow(values, wanted, tmp_path):
    whole = {"quantum": {}, "models": {}, "preprocessing": {}} | values
    job = of_json(whole, tmp_path, [])
    found = tomllib.loads(job.toml)
    assert found == {"name": "old"} | wanted


OF_OTHERS = [
    {"n_qubits": 4, "n_layers": 3, "lr": 0.01, "epochs": 50, "device": "default.qubit"},
    {"seed_everything": 42, "n_qubits": 8, "trainer": {"max_epochs": 50, "callbacks": []},
     "model": {"class_path": "pkg.Classifier"}, "data": {"class_path": "pkg.Images"}},
    {"circuit_depth": 9, "n_epoch": 100, "lr": 0.01, "repeat": 10},
    {"dataset": {"name": "mnist", "input_name": "image"}, "run": {"n_epochs": 200},
     "optimizer": {"name": "adam", "lr": 5e-3}, "model": {"arch": {"n_wires": 4}}},
    {"training": {"epochs": 30, "learning_rate": 0.01}, "dataset": {"name": "moons"}},
]  # fmt: skip


@pytest.mark.parametrize(
    "values", OF_OTHERS, ids=["pennylane", "lightning", "born", "torch", "own"]
)
def test_the_configuration_of_another_program_is_not_taken_for_an_old_one(tmp_path, values):
    """Its learning rate would be dropped as unknown, and the old default written in its place."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(values))
    assert migrate_file(file).product == ""


@pytest.mark.parametrize(
    "values",
    [{"epochs": 50, "n_qubits": 8}, {"epochs": 50, "n_qubits": 8, "learnig_rate": 0.1},
     {"n_qubits": 8, "lr": 0.1, "seed": 1, "shots_per_circuit": 100}],
    ids=["usual", "misspelt", "its-own-field"],
)  # fmt: skip
def test_few_fields_of_q_store_are_enough(tmp_path, values):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(values))
    assert migrate_file(file).product == "q_store"
