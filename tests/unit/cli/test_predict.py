"""`qstore predict` and `evaluate --data`: every format, columns by name, and what is not there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_iris

from qstore_ray import TrainedModel
from qstore_ray.cli.app import main
from qstore_ray.config import dump_toml
from qstore_ray.errors import DataError

FEATURES = ["petal_width", "petal_length"]
PIXELS = np.random.default_rng(0).integers(0, 255, (12, 2, 3), dtype=np.uint8)


def _iris() -> pd.DataFrame:
    bunch = load_iris(as_frame=True)
    frame = bunch.frame.set_axis(
        ["sepal_length", "sepal_width", "petal_length", "petal_width", "species"], axis=1
    )
    return frame.assign(species=bunch.target_names[bunch.target])


IRIS = _iris()
FLOWERS = IRIS.iloc[::7].reset_index(drop=True)
TEST = FLOWERS.drop(columns="species").iloc[:, ::-1]
TEST.insert(1, "Id", [f"{number:03}" for number in range(len(TEST))])


def _train(folder: Path, params: dict, **dataset: object) -> Path:
    """A run of one epoch, trained by the command line."""
    job = {
        "dataset": {"name": "rows", "source": "local", "params": params, **dataset},
        "model": {"layers": 1},
        "trainer": {"epochs": 1},
        "track": {"mlflow": False, "figures": False},
    }
    (folder / "job.toml").write_text(dump_toml(job), encoding="utf-8")
    words = ["train", str(folder / "job.toml"), "--name", "run", "--storage", str(folder / "runs")]
    assert main(words) == 0
    return folder / "runs" / "run"


@pytest.fixture(scope="module")
def flowers(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("flowers")
    IRIS.to_csv(folder / "iris.csv", index=False)
    return _train(
        folder,
        {"path": str(folder / "iris.csv")},
        columns={"label": "species", "features": FEATURES},
        preprocessing=[{"name": "minmax"}],
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number, pixels in enumerate(PIXELS):
        place = folder / "data" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number:02}.png")
    return _train(
        folder,
        {"path": str(folder / "data")},
        split={"train": 1.0},
        preprocessing=[{"name": "pca", "components": 2}],
    )


def _predicted(capsys, *words: object) -> list[str]:
    capsys.readouterr()
    assert main(["predict", *map(str, words)]) == 0
    return capsys.readouterr().out.splitlines()[1:]


def _error(capsys, *words: object, code: int = 3) -> dict:
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) == code
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def _hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["x"] = TEST[FEATURES].to_numpy()


def _arff(path: Path) -> None:
    kinds = "".join(f"@attribute {name} string\n" for name in TEST)
    rows = TEST.to_csv(index=False, header=False)
    path.write_text(f"@relation test\n{kinds}@data\n{rows}", encoding="utf-8")


TABLES: dict[str, Callable[[Path], object]] = {
    "test.csv": lambda path: TEST.to_csv(path, index=False),
    "labelled.csv": lambda path: FLOWERS.to_csv(path, index=False),
    "index.csv": TEST.to_csv,
    "windows.csv": lambda path: TEST.to_csv(path, index=False, lineterminator="\r\n"),
    "test.tsv": lambda path: TEST.to_csv(path, index=False, sep="\t"),
    "test.parquet": TEST.to_parquet,
    "labelled.parquet": FLOWERS.to_parquet,
    "test.jsonl": lambda path: TEST.to_json(path, orient="records", lines=True),
    "test.arff": _arff,
}


ARRAYS: dict[str, Callable[[Path], object]] = {
    "x.npy": lambda path: np.save(path, TEST[FEATURES].to_numpy()),
    "x.npz": lambda path: np.savez(path, x=TEST[FEATURES], y=np.zeros(len(TEST))),
    "any.npz": lambda path: np.savez_compressed(path, flowers=TEST[FEATURES]),
    "x.h5": _hdf5,
}


@pytest.mark.parametrize("name", [*TABLES, *ARRAYS])
def test_every_format_gives_the_same_predictions(name: str, flowers: Path, tmp_path: Path, capsys):
    (TABLES | ARRAYS)[name](tmp_path / name)
    capsys.readouterr()
    assert main(["predict", str(flowers), str(tmp_path / name)]) == 0
    out, err = capsys.readouterr()
    expected = TrainedModel.load(flowers).predict(FLOWERS[FEATURES].to_numpy())
    assert out.splitlines()[1:] == expected.tolist()
    assert len(err.splitlines()) == 1
    if name in TABLES:
        assert "features: petal_width, petal_length; left out: " in err
        assert ("species" if name.startswith("labelled") else "sepal_width") in err
    else:
        assert err == "2 features, by position\n"


def test_a_table_of_test_rows_gives_a_submission(flowers: Path, tmp_path: Path, capsys):
    TEST.to_csv(tmp_path / "test.csv", index=False)
    words = [tmp_path / "test.csv", "--id", "Id", "--output", tmp_path / "submission.csv"]
    _predicted(capsys, flowers, *words)
    found = pd.read_csv(tmp_path / "submission.csv", dtype=str)
    assert found.columns.tolist() == ["Id", "prediction"]
    assert found["Id"].tolist() == TEST["Id"].tolist(), "as they are written, zeros and all"
    assert found["prediction"].tolist() == TrainedModel.load(flowers).predict(TEST).tolist()

    error = _error(capsys, "predict", flowers, tmp_path / "test.csv", "--id", "id", code=2)
    assert (error["field"], error["value"]) == ("--id", "'id'")
    assert "Id, " in error["fix"]
    np.save(tmp_path / "x.npy", TEST[FEATURES])
    error = _error(capsys, "predict", flowers, tmp_path / "x.npy", "--id", "Id", code=2)
    assert "no columns" in error["message"]


def test_a_header_that_has_half_of_the_features(flowers: Path, tmp_path: Path, capsys):
    TEST.rename(columns={"petal_width": "width"}).to_csv(tmp_path / "half.csv", index=False)
    error = _error(capsys, "predict", flowers, tmp_path / "half.csv")
    assert "1 of the model's 2 features are missing: petal_width" in error["message"]
    assert "petal_length" in error["message"]
    assert "petal_width, petal_length" in error["fix"]


def test_without_a_header_only_the_very_features_are_taken_and_only_if_so_said(
    flowers: Path, tmp_path: Path, capsys
):
    TEST[FEATURES].to_csv(tmp_path / "two.csv", index=False, header=False)
    FLOWERS.to_csv(tmp_path / "five.csv", index=False, header=False)
    error = _error(capsys, "predict", flowers, tmp_path / "two.csv")
    assert "params.header = false" in error["fix"]
    said = ("--set", "params.header=false")
    expected = TrainedModel.load(flowers).predict(TEST).tolist()
    assert _predicted(capsys, flowers, tmp_path / "two.csv", *said) == expected
    _error(capsys, "predict", flowers, tmp_path / "five.csv", *said)


def test_a_model_of_pairs_of_place_and_value_reads_such_files(tmp_path: Path, capsys):
    from sklearn.datasets import dump_svmlight_file

    x = IRIS[FEATURES].to_numpy()
    dump_svmlight_file(x, np.arange(150) // 50, str(tmp_path / "iris.svm"), zero_based=False)
    run = _train(tmp_path, {"path": str(tmp_path / "iris.svm")})
    dump_svmlight_file(x[::9], np.arange(150)[::9] // 50, str(tmp_path / "t.svm"), zero_based=False)
    model = TrainedModel.load(run)
    expected = [str(label) for label in model.predict(x[::9])]
    assert _predicted(capsys, run, tmp_path / "t.svm") == expected
    assert main(["evaluate", str(run), "--data", str(tmp_path / "t.svm"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 17
    (tmp_path / "wide.svm").write_text("1 1:0.2 2:1.4\n1 4:0.5\n", encoding="utf-8")
    assert main(["predict", str(run), str(tmp_path / "wide.svm")]) == 3
    assert "a row has the feature 4, 2 are expected" in capsys.readouterr().err


def test_a_model_with_names_takes_no_file_that_has_none(flowers: Path, tmp_path: Path, capsys):
    (tmp_path / "t.svm").write_text("1 1:0.2 2:1.4\n", encoding="utf-8")
    error = _error(capsys, "predict", flowers, tmp_path / "t.svm")
    assert "no names" in error["message"]


def test_a_model_of_a_table_without_header_reads_such_tables(tmp_path: Path, capsys):
    columns = ["species", *FEATURES]  # the label first, as in many classic files
    IRIS[columns].to_csv(tmp_path / "iris.csv", index=False, header=False)
    run = _train(
        tmp_path,
        {"path": str(tmp_path / "iris.csv"), "header": False},
        columns={"label": "f0"},
        preprocessing=[{"name": "minmax"}],
    )
    FLOWERS[columns].to_csv(tmp_path / "labelled.csv", index=False, header=False)
    TEST[FEATURES].to_csv(tmp_path / "test.csv", index=False, header=False)
    model = TrainedModel.load(run)
    expected = model.predict(FLOWERS[FEATURES].to_numpy()).tolist()
    for name in ("labelled.csv", "test.csv"):
        assert _predicted(capsys, run, tmp_path / name) == expected
    assert model.predict(pd.DataFrame(FLOWERS[FEATURES].to_numpy())).tolist() == expected


def test_how_a_file_is_read_may_be_said_and_nothing_else(flowers: Path, tmp_path: Path, capsys):
    TEST.to_csv(tmp_path / "test.txt", index=False, sep=";")
    said = ["--set", "params.format=csv", "--set", "params.delimiter=;"]
    expected = TrainedModel.load(flowers).predict(TEST).tolist()
    assert _predicted(capsys, flowers, tmp_path / "test.txt", *said) == expected
    for change, field in (
        ("trainer.epochs=3", "--set"),
        ("params.path=other.csv", "params.path"),
        ("params.size=[2, 2]", "params.size"),
        ("params.nothing=1", "nothing"),
    ):
        words = ("predict", flowers, tmp_path / "test.txt", *said, "--set", change)
        assert _error(capsys, *words, code=2)["field"] == field


def test_training_settings_are_the_default(tmp_path: Path, capsys):
    IRIS.to_csv(tmp_path / "iris.csv", index=False, sep=";")
    run = _train(
        tmp_path,
        {"path": str(tmp_path / "iris.csv"), "delimiter": ";"},
        columns={"label": "species", "features": FEATURES},
    )
    TEST.to_csv(tmp_path / "test.csv", index=False, sep=";")
    TEST.to_parquet(tmp_path / "test.parquet")
    expected = TrainedModel.load(run).predict(TEST).tolist()
    for name in ("test.csv", "test.parquet"):
        assert _predicted(capsys, run, tmp_path / name) == expected
    model = tmp_path / "m.qsm"
    assert main(["export", str(run), "--output", str(model)]) == 0
    assert _predicted(capsys, model, tmp_path / "test.csv") == expected


def test_images_one_or_many_are_read_as_the_models_were(images: Path, tmp_path: Path, capsys):
    folder = images.parents[1] / "data"
    model = TrainedModel.load(images)
    order = [*range(0, 12, 2), *range(1, 12, 2)]
    expected = model.predict(PIXELS[order]).tolist()
    assert _predicted(capsys, images, folder) == expected
    assert _predicted(capsys, images, folder / "a" / "00.png") == expected[:1]
    named = _predicted(capsys, images, folder, "--id", "filename")
    assert [line.split(",")[0] for line in named] == [f"{number:02}.png" for number in order]

    Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "large.png")
    error = _error(capsys, "predict", images, tmp_path / "large.png")
    assert "the model's are 2 by 3" in error["message"]
    assert (
        len(_predicted(capsys, images, tmp_path / "large.png", "--set", "params.size=[2, 3]")) == 1
    )


def test_a_model_of_an_earlier_version_takes_columns_by_position_and_says_so(
    flowers: Path, tmp_path: Path, capsys
):
    old = Path(shutil.copytree(flowers, tmp_path / "old"))
    for file in old.glob("checkpoints/*/manifest.json"):
        manifest = json.loads(file.read_text(encoding="utf-8"))
        del manifest["model"]["input"]
        file.write_text(json.dumps(manifest), encoding="utf-8")
    TEST[FEATURES].set_axis(["a", "b"], axis=1).to_csv(tmp_path / "x.csv", index=False)
    model = TrainedModel.load(old)
    expected = TrainedModel.load(flowers).predict(TEST).tolist()
    assert model.signature is None
    assert main(["predict", str(old), str(tmp_path / "x.csv")]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1:] == expected
    assert "taken by position: a, b" in err
    with pytest.warns(UserWarning, match="by position"):
        assert model.predict(TEST[FEATURES]).tolist() == expected
    model.save(tmp_path / "old.qsm")
    assert TrainedModel.load(tmp_path / "old.qsm").predict(TEST[FEATURES].to_numpy()).tolist() == (
        expected
    )


# ------------------------------------------------------------------------- kinds of columns

PASSENGERS = pd.DataFrame(
    {
        "PassengerId": range(100, 140),
        "Age": [22.0, 38.5, None, 54.0] * 10,
        "Sex": ["male", "female", "female", None, "male"] * 8,
        "Alone": [True, False, False, True] * 10,
        "Survived": [0, 1] * 20,
    }
)


@pytest.fixture(scope="module")
def passengers(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("passengers")
    PASSENGERS.to_csv(folder / "train.csv", index=False, na_rep="?")
    return _train(
        folder,
        {"path": str(folder / "train.csv"), "missing": ["?"]},
        columns={"label": "Survived", "exclude": ["PassengerId"]},
        preprocessing=[{"name": "impute"}, {"name": "minmax"}],
    )


KINDS: dict[str, Callable[[Path, pd.DataFrame], object]] = {
    "test.csv": lambda path, rows: rows.to_csv(path, index=False, na_rep="?"),
    "empty.csv": lambda path, rows: rows.to_csv(path, index=False),
    "test.parquet": lambda path, rows: rows.to_parquet(path),
    "category.parquet": lambda path, rows: rows.astype({"Sex": "category"}).to_parquet(path),
    "test.jsonl": lambda path, rows: rows.to_json(path, orient="records", lines=True),
}


@pytest.mark.parametrize("name", KINDS)
def test_categories_booleans_and_gaps_are_what_they_were(
    name: str, passengers: Path, tmp_path: Path, capsys
):
    test = PASSENGERS.drop(columns="Survived").iloc[7:20, ::-1]  # begins with other categories
    KINDS[name](tmp_path / name, test)
    model = TrainedModel.load(passengers)
    table = model.signature.table
    assert [(one.name, one.kind) for one in table.features] == [
        ("Age", "number"),
        ("Sex", "category"),
        ("Alone", "boolean"),
    ]
    words = (passengers, tmp_path / name, "--id", "PassengerId", "--proba")
    found = [line.split(",") for line in _predicted(capsys, *words)]
    assert [int(line[0]) for line in found] == test["PassengerId"].tolist()
    expected = model.predict_proba(test)
    np.testing.assert_array_equal([[float(cell) for cell in line[2:]] for line in found], expected)
    train = PASSENGERS.iloc[7:20]
    x = np.column_stack([
        train["Age"],
        train["Sex"].map({"female": 0.0, "male": 1.0}),
        train["Alone"],
    ]).astype(float)  # fmt: skip
    np.testing.assert_array_equal(model.predict_proba(x), expected)


@pytest.mark.parametrize("name", ["test.csv", "test.parquet", "test.jsonl"])
def test_a_value_that_training_did_not_have_is_found(
    name: str, passengers: Path, tmp_path: Path, capsys
):
    for column, value in (("Sex", "other"), ("Age", "old")):
        rows = PASSENGERS.iloc[:9].astype({column: object})
        rows.loc[5, column] = value
        if name == "test.parquet":
            rows[column] = [None if pd.isna(cell) else str(cell) for cell in rows[column]]
        KINDS[name](tmp_path / name, rows)
        error = _error(capsys, "predict", passengers, tmp_path / name)
        assert column in error["field"]
        assert error["value"] == repr(value)
        assert any(place in error["field"] for place in ("line 7", "line 6", "row 5"))
        with pytest.raises(DataError) as caught:
            TrainedModel.load(passengers).predict(rows)
        assert caught.value.field == f"row 5, column {column!r}"


def test_a_missing_value_is_named_where_no_step_fills_it(flowers: Path, tmp_path: Path, capsys):
    rows = TEST.astype({"petal_length": object})
    rows.loc[3, "petal_length"] = None
    rows.to_csv(tmp_path / "gap.csv", index=False)
    error = _error(capsys, "predict", flowers, tmp_path / "gap.csv")
    assert error["message"] == "NaN in column 1 ('petal_length'), first in row 3"
    assert "impute" in error["fix"]


# ------------------------------------------------------------------------- scoring


@pytest.mark.parametrize("name", ["labelled.csv", "labelled.parquet"])
def test_other_labelled_rows_are_scored(name: str, flowers: Path, tmp_path: Path, capsys):
    TABLES[name](tmp_path / name)
    capsys.readouterr()
    assert main(["evaluate", str(flowers), "--data", str(tmp_path / name), "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    model = TrainedModel.load(flowers)
    right = model.predict(FLOWERS) == FLOWERS["species"].to_numpy()
    assert found["rows"] == len(FLOWERS)
    assert found["accuracy"] == pytest.approx(right.mean())
    assert np.trace(found["confusion"]) == right.sum()
    assert found["accuracy"] == pytest.approx(model.evaluate(FLOWERS)["accuracy"])
    assert "label species; left out: sepal_length, sepal_width" in err


def test_rows_of_merged_classes_are_scored_as_they_were_merged(tmp_path: Path, capsys):
    rare = IRIS.astype({"species": object})
    rare.loc[:1, "species"] = ["rose", "tulip"]
    rare.to_csv(tmp_path / "rare.csv", index=False)
    run = _train(
        tmp_path,
        {"path": str(tmp_path / "rare.csv")},
        columns={"label": "species", "features": FEATURES},
        rare_classes="merge",
    )
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data", str(tmp_path / "rare.csv"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["classes"][-1] == "other"
    assert sum(found["confusion"][-1]) == 2


def test_arrays_and_folders_of_images_are_scored(
    flowers: Path, images: Path, tmp_path: Path, capsys
):
    text = FLOWERS["species"].to_numpy().astype(str)
    np.savez(tmp_path / "rows.npz", x=FLOWERS[FEATURES], y=text)
    np.savez(
        tmp_path / "parts.npz",
        x_train=FLOWERS[FEATURES],
        y_train=text,
        x_test=FLOWERS[FEATURES][:5],
        y_test=text[:5],
    )
    for data, n_rows in (("rows.npz", len(FLOWERS)), ("parts.npz", 5)):
        capsys.readouterr()
        assert main(["evaluate", str(flowers), "--data", str(tmp_path / data), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["rows"] == n_rows
    folder = images.parents[1] / "data"
    assert main(["evaluate", str(images), "--data", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == len(PIXELS)


def test_what_cannot_be_scored_is_said(flowers: Path, tmp_path: Path, capsys):
    TEST.to_csv(tmp_path / "test.csv", index=False)
    FLOWERS.assign(species="rose").to_csv(tmp_path / "roses.csv", index=False)
    FLOWERS.rename(columns={"species": "kind"}).to_csv(tmp_path / "kind.csv", index=False)
    words = ("evaluate", flowers, "--data")
    assert "species" in _error(capsys, *words, tmp_path / "test.csv")["message"]
    assert _error(capsys, *words, tmp_path / "roses.csv")["value"] == "'rose'"
    _error(capsys, *words, tmp_path / "kind.csv")
    capsys.readouterr()
    label = ("--set", "columns.label=kind", "--json")
    assert main([*map(str, words), str(tmp_path / "kind.csv"), *label]) == 0
    error = _error(capsys, "evaluate", flowers, "--set", "params.header=false", code=2)
    assert error["field"] == "--set"


def test_train_says_what_it_takes_for_label_and_features(flowers: Path, tmp_path: Path, capsys):
    capsys.readouterr()
    IRIS.to_csv(tmp_path / "iris.csv", index=False)
    _train(
        tmp_path,
        {"path": str(tmp_path / "iris.csv")},
        columns={"label": "species", "features": FEATURES},
    )
    assert "rows: label species; 2 features: petal_width, petal_length" in capsys.readouterr().err
    assert main(["evaluate", str(flowers)]) == 0
    assert "label species; 2 features: petal_width, petal_length" in capsys.readouterr().err
