"""A column of sample weights: no feature, read in every format, and refused if it is no weight."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qstore_ray import DatasetConfig, DatasetLoader, ModelConfig, QuantumTrainer, TrainerConfig
from qstore_ray.baseline import linear_baseline
from qstore_ray.data.augment.config import ExpansionConfig
from qstore_ray.data.columns import TableSchema
from qstore_ray.data.inputs.signature import Signature
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.data.sources.base import SourceData
from qstore_ray.errors import ConfigError, DataError, UnknownNameError, UsageError
from qstore_ray.track.config import TrackConfig
from qstore_ray.tune.trial.plan import for_trials
from tests.local_files import load

N = 48
X = np.random.default_rng(3).normal(size=(N, 2))
KINDS = np.array(["no", "yes"])[(X[:, 0] > 0).astype(int)]
WEIGHTS = np.random.default_rng(4).integers(1, 5, N) / 2
FORMATS = ("csv", "csv.gz", "jsonl", "parquet", "arff")
COLUMNS = {"weight": "w"}


def _records(weights=WEIGHTS) -> list[dict]:
    columns = zip(X.tolist(), weights, KINDS.tolist(), strict=True)
    return [{"a": a, "b": b, "w": w, "label": kind} for (a, b), w, kind in columns]


def _write(path: Path, records: list[dict]) -> Path:
    """The records in the format of the suffix."""
    lines = [",".join(map(str, record.values())) for record in records]
    form = path.name.partition(".")[2]
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    elif form == "jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    elif form == "arff":
        head = [f"@attribute {name} numeric" for name in list(records[0])[:-1]]
        head = ["@relation t", *head, "@attribute label {no,yes}", "@data"]
        path.write_text("\n".join([*head, *lines]) + "\n")
    else:
        import gzip

        text = "\n".join([",".join(records[0]), *lines]) + "\n"
        path.write_bytes(gzip.compress(text.encode()) if form.endswith("gz") else text.encode())
    return path


def _plain(path: Path, weights=WEIGHTS) -> Path:
    return _write(path, _records(list(weights)))


def _weights(dataset: Dataset) -> dict[int, float]:
    """The weight of each row of the source, whatever split it is in."""
    return {
        int(row): float(weight)
        for split in dataset.sizes
        for row, weight in zip(dataset.rows(split), dataset.plan(split).weights, strict=True)
    }


@pytest.mark.parametrize("form", FORMATS)
def test_the_column_is_no_feature_and_its_values_are_the_weights(tmp_path: Path, form: str):
    dataset = load(_plain(tmp_path / f"t.{form}"), COLUMNS)
    assert dataset.schema.feature_names == ("a", "b")
    assert _weights(dataset) == dict(enumerate(WEIGHTS.tolist()))
    assert "weight w" in dataset.describe()
    assert "weight w" in Signature.of(dataset).line()


def test_every_format_gives_the_same_fingerprint_and_another_weight_another(tmp_path: Path):
    found = {load(_plain(tmp_path / f"t.{form}"), COLUMNS).fingerprint for form in FORMATS}
    assert len(found) == 1
    other = _plain(tmp_path / "other.csv", [*WEIGHTS[:-1], 9.0])
    assert load(other, COLUMNS).fingerprint not in found
    assert load(other, {"exclude": ["w"]}).fingerprint not in found


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), None])
def test_what_is_no_weight_is_refused_with_its_row(tmp_path: Path, form: str, value):
    weights = list(WEIGHTS)
    weights[5] = value if value is not None or form in ("jsonl", "parquet") else ""
    path = _plain(tmp_path / f"t.{form}", weights)
    with pytest.raises(DataError) as caught:
        load(path, COLUMNS)
    assert "'w'" in str(caught.value) or "line 6" in str(caught.value)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_texts_are_no_weights(tmp_path: Path, form: str):
    path = _plain(tmp_path / f"t.{form}", [f"w{i}" for i in range(N)])
    with pytest.raises(DataError, match="a weight is a finite number") as caught:
        load(path, COLUMNS)
    assert caught.value.value == "w0"


def test_true_and_false_and_lists_are_no_weights(tmp_path: Path):
    for values in ([True] * N, [[1.0, 2.0]] * N):
        with pytest.raises(DataError, match="weights are numbers, these are"):
            load(_plain(tmp_path / "t.parquet", values), COLUMNS)


@pytest.mark.parametrize("value", [1e101, 1e-101])
def test_weights_whose_sums_overflow_are_refused(tmp_path: Path, value: float):
    path = _plain(tmp_path / "t.csv", [value, *WEIGHTS[1:]])
    with pytest.raises(DataError, match="a weight other than 0 is between"):
        load(path, COLUMNS)


def test_a_table_in_memory_of_weights_alone_or_of_truths_is_refused():
    with pytest.raises(DataError, match="no column beside the weight 'w'"):
        DatasetLoader.from_arrays({"w": WEIGHTS}, KINDS, columns=COLUMNS)
    with pytest.raises(DataError, match="weights are numbers, these are bool"):
        DatasetLoader.from_arrays({"a": X[:, 0], "w": WEIGHTS > 1}, KINDS, columns=COLUMNS)


def test_weights_of_libsvm_labels_are_refused_with_what_to_write(tmp_path: Path):
    (tmp_path / "t.svm").write_text("1:0.5 1:2.0\n0:1.5 1:3.0\n" * 5)
    with pytest.raises(DataError, match="the label has a weight") as caught:
        load(tmp_path / "t.svm")
    assert "columns.weight" in str(caught.value.fix)


def test_a_weight_in_the_notation_of_the_file_is_read(tmp_path: Path):
    rows = [f"{a};{b};1.000,5;{kind}" for (a, b), kind in zip(X.tolist(), KINDS, strict=True)]
    rows = [row.replace(".", ",", 2).replace("1,000,5", "1.000,5") for row in rows]
    (tmp_path / "t.csv").write_text("\n".join(["a;b;w;label", *rows]) + "\n")
    dataset = load(tmp_path / "t.csv", COLUMNS, delimiter=";", decimal=",", thousands=".")
    assert set(_weights(dataset).values()) == {1000.5}


def test_a_sign_for_missing_is_no_weight(tmp_path: Path):
    path = _plain(tmp_path / "t.csv", [-999.0, *WEIGHTS[1:]])
    with pytest.raises(DataError, match="a weight is a finite number"):
        load(path, COLUMNS, missing=[-999])


def test_rows_of_weight_zero_are_left_out(tmp_path: Path):
    zero = np.where(np.arange(N) < 6, 0.0, WEIGHTS)
    parts = {"train": _plain(tmp_path / "train.csv", zero), "test": _plain(tmp_path / "test.csv")}
    short = _write(tmp_path / "short.csv", _records(list(zero))[6:])
    steps = [{"name": "standard"}]

    def loaded(train: Path) -> Dataset:
        return DatasetLoader.load(
            DatasetConfig(
                name="t",
                source="local",
                params={"train": str(train), "test": str(parts["test"])},
                columns=COLUMNS,
                preprocessing=steps,
                split={"train": 0.6, "test": 0.4},
            )
        )

    zeros, without = loaded(parts["train"]), loaded(short)
    for split in ("train", "test"):
        assert zeros.materialize(split).x.tobytes() == without.materialize(split).x.tobytes()
        assert zeros.plan(split).weights.tobytes() == without.plan(split).weights.tobytes()
    assert zeros.provenance["weightless"] == "6 rows of weight 0 left out"


def test_a_row_of_weight_zero_may_lack_values_and_a_label(tmp_path: Path):
    records = _records([0.0, *WEIGHTS[1:]])
    records[0] |= {"a": "", "label": ""}
    assert sum(load(_write(tmp_path / "t.csv", records), COLUMNS).sizes.values()) == N - 1


@pytest.mark.parametrize("part", ["train", "test"])
def test_weights_that_are_all_zero_are_refused(tmp_path: Path, part: str):
    for name in ("train", "test"):
        _plain(tmp_path / f"{name}.csv", np.zeros(N) if name == part else WEIGHTS)
    with pytest.raises(DataError, match="has the weight 0, so there is nothing"):
        load(tmp_path, COLUMNS)


@pytest.mark.parametrize("form", FORMATS)
def test_a_test_file_without_the_column_is_refused(tmp_path: Path, form: str):
    _plain(tmp_path / f"train.{form}")
    bare = [{k: v for k, v in record.items() if k != "w"} for record in _records()]
    _write(tmp_path / f"test.{form}", bare)
    with pytest.raises(DataError, match="w"):
        load(tmp_path, COLUMNS)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"weight": "label"}, "the weight is also the label"),
        ({"weight": "w", "label": "w"}, "the weight is also the label"),
        ({"weight": "w", "features": ["a", "w"]}, "the weight is also a feature"),
        ({"weight": "w", "categories": ["w"]}, "the weight is also a category"),
        ({"weight": "w", "exclude": ["w"]}, "a column is both used and excluded"),
        ({"weight": "W"}, "no column is called 'W'|unknown column"),
    ],
)
def test_a_weight_is_a_column_of_its_own(tmp_path: Path, columns: dict, message: str):
    with pytest.raises((ConfigError, DataError, UnknownNameError), match=message):
        load(_plain(tmp_path / "t.csv"), columns)


@pytest.mark.parametrize(
    ("name", "form"), [("t.npz", "npz"), ("t.h5", "hdf5"), ("t.svm", "libsvm")]
)
def test_formats_without_names_refuse_the_column(tmp_path: Path, name: str, form: str):
    path = tmp_path / name
    if form == "npz":
        np.savez(path, x=X, y=KINDS == "yes")
    elif form == "hdf5":
        import h5py

        with h5py.File(path, "w") as file:
            file["x"], file["y"] = X, (KINDS == "yes").astype(int)
    else:
        path.write_text("".join(f"{i % 2} 1:{a} 2:{b}\n" for i, (a, b) in enumerate(X)))
    with pytest.raises(ConfigError, match="have no"):
        load(path, COLUMNS)


def test_sources_without_tables_refuse_the_column():
    with pytest.raises(ConfigError, match="the source 'sklearn' has no weight"):
        DatasetConfig(name="iris", params={"dataset": "iris"}, columns=COLUMNS)


def test_a_table_in_memory_has_weights_in_all_parts():
    frame = {"a": X[:, 0], "w": WEIGHTS, "b": X[:, 1]}
    dataset = DatasetLoader.from_arrays(frame, KINDS, test=(frame, KINDS), columns=COLUMNS)
    assert dataset.schema.feature_names == ("a", "b")
    assert dataset.weights("test").tolist() == WEIGHTS.tolist()
    bare = {"a": X[:, 0], "b": X[:, 1]}
    with pytest.raises(DataError, match="there is no column 'w'"):
        DatasetLoader.from_arrays(frame, KINDS, test=(bare, KINDS), columns=COLUMNS)
    with pytest.raises(UnknownNameError):
        DatasetLoader.from_arrays(bare, KINDS, columns=COLUMNS)
    with pytest.raises(ConfigError, match="arrays have no columns"):
        DatasetLoader.from_arrays(X, KINDS, columns=COLUMNS)


def _block(weight) -> SourceData:
    row = np.arange(N)
    return SourceData(tasks=(lambda: {"x": X, "y": KINDS, "row": row, "weight": weight},))


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (-WEIGHTS, "a weight is a finite number"),
        (WEIGHTS[:-1], "48 rows but 47 weights"),
        (np.array(["1"] * N), "weights are one number a row"),
        (np.ones((N, 2)), "weights are one number a row"),
    ],
)
def test_weights_of_an_own_source_are_checked(weight, message: str):
    from qstore_ray.data.build import build_dataset

    config = DatasetConfig(name="own", source="numpy")
    with pytest.raises(DataError, match=message):
        build_dataset(config, _block(weight))


def test_copies_joined_rows_and_saved_rows_keep_their_weights(tmp_path: Path):
    path = _plain(tmp_path / "t.csv")
    dataset = load(path, COLUMNS)
    joined = dataset.with_val_in_train()
    assert _weights(joined) == _weights(dataset) == _weights(dataset.in_memory())
    assert _weights(dataset.in_memory().with_val_in_train()) == _weights(dataset)
    assert _weights(pickle.loads(pickle.dumps(for_trials(dataset)))).items() <= (
        _weights(dataset).items()
    )
    saved = Dataset.load(dataset.save(tmp_path / "saved"))
    assert _weights(saved) == _weights(dataset)
    assert saved.fingerprint == dataset.fingerprint
    copies = ExpansionConfig(copies=2, steps=[{"name": "gaussian_noise", "std": 0.1}])
    copied = DatasetLoader.load(dataset.config.model_copy(update={"augmentation": copies}))
    rows = copied.rows("train")
    assert copied.weights("train").tolist() == [float(WEIGHTS[row]) for row in rows]
    assert len(rows) == 3 * dataset.sizes["train"]


def test_read_tasks_give_the_weights_as_a_column(tmp_path: Path):
    plan = load(_plain(tmp_path / "t.csv"), COLUMNS, rows_per_task=7).plan("train")
    blocks = [task() for task in plan.tasks]
    assert np.concatenate([block["weight"] for block in blocks]).tolist() == plan.weight.tolist()


def test_equal_weights_are_none(tmp_path: Path):
    dataset = load(_plain(tmp_path / "t.csv", np.full(N, 3.0)), COLUMNS)
    assert dataset.weights("train") is None
    assert set(_weights(dataset).values()) == {3.0}


def test_a_schema_without_weights_is_written_as_before():
    assert "weight" not in TableSchema(()).to_dict()
    weighted = TableSchema((), weight="w")
    assert TableSchema.from_dict(json.loads(json.dumps(weighted.to_dict()))) == weighted


# ------------------------------------------------------------------------- training and scoring


UNTRACKED = TrackConfig(mlflow=False, figures=False)


def _fit(dataset: Dataset, folder: Path, track: TrackConfig = UNTRACKED):
    model = ModelConfig(n_qubits=2, layers=1)
    config = TrainerConfig(epochs=2, batch_size=100)
    return QuantumTrainer(model, config, name="run", storage=folder, track=track).fit(dataset)


@pytest.fixture(scope="module")
def weighted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weighted")
    dataset = load(_plain(folder / "t.csv"), COLUMNS)
    return dataset, _fit(dataset, folder, TrackConfig())  # MLflow and figures have weights, too


def test_the_column_trains_as_sample_weight_does(weighted, tmp_path: Path):
    dataset, result = weighted
    plain = load(_plain(tmp_path / "t.csv"), {"exclude": ["w"]})
    given = dataset.weights("train")
    found = QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1), TrainerConfig(epochs=2, batch_size=100),
        name="run", storage=tmp_path, track=UNTRACKED,
    ).fit(plain, sample_weight=given)  # fmt: skip
    assert found.model.theta.tobytes() == result.model.theta.tobytes()


def test_metrics_are_those_of_scikit_learn_with_the_weights(weighted):
    from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

    dataset, result = weighted
    found = result.model.evaluate(dataset, "test")
    y, weight = dataset.materialize("test").y, dataset.weights("test")
    seen = result.model.evaluation(dataset, "test").answers
    kwargs = {"sample_weight": weight}
    assert found["accuracy"] == pytest.approx(accuracy_score(y, seen.predicted, **kwargs))
    assert found["f1_macro"] == pytest.approx(
        f1_score(y, seen.predicted, average="macro", **kwargs)
    )
    assert found["roc_auc"] == pytest.approx(roc_auc_score(y, seen.ranking, **kwargs))
    assert found["log_loss"] == pytest.approx(log_loss(y, seen.probabilities, **kwargs))
    assert found["loss"] == pytest.approx(found["log_loss"])
    val = result.history[-1]
    scored = result.model.evaluate(dataset, "val")
    assert val["val_loss"] == pytest.approx(scored["loss"])
    assert val["val_accuracy"] == pytest.approx(scored["accuracy"])


def test_the_baseline_has_the_weights_too(weighted):
    dataset, _ = weighted
    given = linear_baseline(dataset, sample_weight=dataset.weights("train"))
    assert linear_baseline(dataset).metrics == given.metrics


def test_equal_weights_change_no_bit_of_a_run(tmp_path: Path):
    ends = []
    for name, columns in (("equal", COLUMNS), ("none", {"exclude": ["w"]})):
        dataset = load(_plain(tmp_path / "t.csv", np.full(N, 2.0)), columns)
        result = _fit(dataset, tmp_path / name)
        scores = {k: v for k, v in result.metrics.items() if "second" not in k}
        ends.append((result.model.theta.tobytes(), scores))
    assert ends[0] == ends[1]


def test_weights_are_given_once(weighted, tmp_path: Path):
    dataset, _ = weighted
    trainer = QuantumTrainer(ModelConfig(n_qubits=2), storage=tmp_path)
    with pytest.raises(ConfigError, match="the dataset has sample weights already"):
        trainer.fit(dataset, sample_weight=np.ones(dataset.sizes["train"]))


def test_a_run_is_not_resumed_on_other_weights(weighted, tmp_path: Path):
    dataset, _ = weighted
    _fit(dataset, tmp_path)
    other = load(_plain(tmp_path / "t.csv", WEIGHTS + 1.0), COLUMNS)
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1), TrainerConfig(epochs=3), name="run", storage=tmp_path,
        track=UNTRACKED,
    )  # fmt: skip
    with pytest.raises(UsageError, match="data"):
        trainer.fit(other, existing="resume")


def test_a_resumed_run_ends_with_the_bits_of_one(weighted, tmp_path: Path):
    dataset, _ = weighted
    found = {}
    for name, epochs, existing in (("a", 2, "error"), ("b", 1, "error"), ("b", 2, "resume")):
        config = TrainerConfig(epochs=epochs, batch_size=10, schedule="constant")
        trainer = QuantumTrainer(
            ModelConfig(n_qubits=2, layers=1), config, name=name, storage=tmp_path, track=UNTRACKED
        )
        found[name] = trainer.fit(dataset, existing=existing)
    assert found["a"].model.theta.tobytes() == found["b"].model.theta.tobytes()
    assert found["a"].history[-1]["val_loss"] == found["b"].history[-1]["val_loss"]


def test_rows_to_score_have_weights_if_the_column_is_there(weighted):
    model = weighted[1].model
    x, y = {"a": X[:, 0], "b": X[:, 1]}, KINDS
    whole = model.labelled({**x, "w": WEIGHTS, "label": y})
    assert whole.weights("test").tolist() == WEIGHTS.tolist()
    assert model.labelled({**x, "label": y}).weights("test") is None
    twice = np.repeat(np.arange(N), (2 * WEIGHTS).astype(int))
    again = {name: column[twice] for name, column in {**x, "label": y}.items()}
    for name, value in model.evaluate(again).items():
        assert model.evaluate(whole)[name] == pytest.approx(value, rel=1e-6), name
    zero = np.where(np.arange(N) < 5, 0.0, WEIGHTS)
    rest = {name: column[5:] for name, column in {**x, "w": WEIGHTS, "label": y}.items()}
    left = model.evaluate({**x, "w": zero, "label": y})
    assert left == pytest.approx(model.evaluate(rest))
    with pytest.raises(DataError, match="every row has the weight 0"):
        model.evaluate({**x, "w": np.zeros(N), "label": y})


def test_predictions_need_no_weights(weighted):
    model = weighted[1].model
    x = {"a": X[:, 0], "b": X[:, 1]}
    assert (model.predict(x) == model.predict({**x, "w": ["text"] * N})).all()
