"""Folders as they are handed out: competitions, the UCI repository, images with a labels file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qstore_ray.errors import DataError, UnlabelledError
from tests.local_files import IMAGES, KINDS, NUMBERS, X, csv_text, load

TRAIN = csv_text(X[:30], KINDS[:30])
TEST = csv_text(X[30:], KINDS[30:])
BARE = "".join(line.rpartition(",")[0] + "\n" for line in TEST.splitlines())
PAIRS = [f"{number:03}" for number in range(30)]


def _write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "name",
    ["sample_submission.csv", "gender_submission.csv", "SampleSubmission.csv",
     "sample_submission_stage_1.csv", "data_description.txt", "dataset_infos.json", "notes.txt",
     "LICENSE", "README.md", "iris.names", "paper.pdf", "Index"],
)  # fmt: skip
def test_what_lies_beside_the_tables_is_left_out_and_said(tmp_path: Path, name: str):
    dataset = load(_write(tmp_path, {"train.csv": TRAIN, "test.csv": TEST, name: "id,label\n1,a"}))
    assert dataset.sizes["test"] == 30
    assert dataset.provenance["skipped"] == f"no data: {name}"
    assert name in dataset.describe()


def test_texts_alone_are_data(tmp_path: Path):
    assert sum(load(_write(tmp_path, {"a.txt": TRAIN, "b.txt": TEST})).sizes.values()) == 60


def test_a_test_without_labels_is_left_out_and_said(tmp_path: Path):
    dataset = load(_write(tmp_path, {"train.csv": TRAIN, "test.csv": BARE}))
    assert sum(dataset.sizes.values()) == 30
    assert "test.csv has no labels and is left out" in dataset.provenance["unlabelled"]
    assert "test.csv has no labels and is left out" in dataset.describe()


@pytest.mark.parametrize("name", ["val.csv", "test/b.csv"])
def test_other_files_without_labels_are_refused(tmp_path: Path, name: str):
    train, other = ("train.csv", "test.csv") if name == "val.csv" else ("train/a.csv", "test/a.csv")
    with pytest.raises(UnlabelledError, match="which is the label in"):
        load(_write(tmp_path, {train: TRAIN, other: TEST, name: BARE}))


def test_files_that_disagree_say_which_lacks_what(tmp_path: Path):
    _write(tmp_path, {"train.csv": TRAIN, "test.csv": TEST.replace("a,b", "a,z", 1)})
    with pytest.raises(DataError, match=r"than in \S+train.csv: without b and with z besides"):
        load(tmp_path)


def _adult(rows: slice, dot: str = "") -> str:
    names = np.array([">50K", "<=50K"])[NUMBERS[rows] % 2]
    return "".join(
        f"{a:.3f}, {b:.3f}, kind {c > 0}, {name}{dot}\n"
        for (a, b, c), name in zip(X[rows], names, strict=True)
    )


def test_the_files_of_adult(tmp_path: Path):
    asked = {"columns": {"label": "f3"}, "header": False}
    comment = "|1x3 Cross validator\n"
    files = {"adult.data": _adult(slice(30)), "adult.names": "| words", "Index": "words"}
    _write(tmp_path, files | {"adult.test": comment + _adult(slice(30, 60), ".")})
    with pytest.raises(DataError, match=r'looks like a comment.*params.comment = "\|"'):
        load(tmp_path, **asked)
    with pytest.raises(DataError, match=r"2 labels are not among .*'>50K\.' as '>50K'"):
        load(tmp_path, comment="|", **asked)
    _write(tmp_path, {"adult.test": comment + _adult(slice(30, 60))})
    dataset = load(tmp_path, comment="|", **asked)
    assert dataset.sizes["test"] == 30
    assert dataset.classes == ("<=50K", ">50K")


def _images(folder: Path, names: list[str], text: str) -> Path:
    for number, name in enumerate(names):
        (folder / "im" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGES[number]).save(folder / "im" / name, format="PNG")
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    return folder / "im"


@pytest.mark.parametrize(
    ("file", "header", "line"),
    [
        ("{}.JPG", "id,label", "{},{kind}"),
        ("{}.JPG", "id,label", "{}.jpg,{kind}"),
        ("{}.png", "image,level", "{},{kind}"),
        ("{}.png", "image,breed name", "{},{kind}"),
        ("a/{}.png", "filename,class", "a/{}.png,{kind}"),
        ("a/{}.png", "filename,class", "{}.png,{kind}"),
        ("a/{}.png", "image_id,class", "{},{kind}"),
        ("{}.png", "filename,class", "im/{}.png,{kind}"),
        ("{}.png", "filename;class", "{}.png;{kind}"),
        ("{}.png", "id,age,filename,class", "7{},3,{}.png,{kind}"),
        ("{}.png", "lesion_id,image_id,dx,dx_type", "L{},{},{kind},histo"),
    ],
)
def test_label_files_name_images_in_many_ways(tmp_path: Path, file: str, header: str, line: str):
    lines = [
        line.replace("{kind}", str(KINDS[at])).replace("{}", number)
        for at, number in enumerate(PAIRS)
    ]
    names = [file.format(number) for number in PAIRS]
    folder = _images(tmp_path, names, "\n".join([header, *lines]))
    dataset = load(folder, y_path=str(tmp_path / "labels.csv"))
    assert dataset.classes == ("ant", "bee", "cow")
    assert sum(dataset.sizes.values()) == 30


@pytest.mark.parametrize(
    ("listed", "images", "expected"),
    [
        ([*PAIRS[:25], *PAIRS[:5]], 30, r"5 lines list an image again: 000.png \(line 27\), 001"),
        (PAIRS, 25, r"5 lines name no image in the folder: 025.png \(line 27\), 026"),
        (PAIRS[:25], 30, "5 images have no label: 025.png, 026.png, 027.png"),
    ],
)
def test_faults_of_a_label_file_are_counted(tmp_path: Path, listed, images, expected: str):
    text = "filename,label\n" + "".join(f"{name}.png,a\n" for name in listed)
    folder = _images(tmp_path, [f"{name}.png" for name in PAIRS[:images]], text)
    with pytest.raises(DataError, match=expected):
        load(folder, y_path=str(tmp_path / "labels.csv"))


def test_a_name_that_may_be_two_images_is_refused(tmp_path: Path):
    folder = _images(tmp_path, ["a/1.png", "b/1.png"], "filename,label\n1.png,x\n1.png,y\n")
    with pytest.raises(DataError, match="2 lines name no image"):
        load(folder, y_path=str(tmp_path / "labels.csv"))


@pytest.mark.parametrize("header", ["image,MEL,NV", "filename,label,class", "id"])
def test_label_files_with_other_columns_are_refused(tmp_path: Path, header: str):
    with pytest.raises(DataError, match="Call the column of files filename"):
        load(_images(tmp_path, ["1.png"], header), y_path=str(tmp_path / "labels.csv"))


@pytest.mark.parametrize("place", ["labels.csv", "ant/labels.csv"])
def test_a_table_among_images_is_named(tmp_path: Path, place: str):
    folder = _images(tmp_path, ["ant/1.png", "bee/2.png"], "")
    _write(folder, {place: "filename,label\n"})
    with pytest.raises(DataError, match="table among the images") as caught:
        load(folder)
    assert str(caught.value.value).endswith(place)
