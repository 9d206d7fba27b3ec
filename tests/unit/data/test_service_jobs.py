"""Datasets made from elsewhere, as jobs: the hub, Label Studio, augmentation.

Nothing here reaches the Hugging Face hub: its search and its reading are replaced by functions of
the tests, given in the settings, and so is the table of augmentations.
"""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qstore_ray.data.service.client.client import DatasetServiceClient
from qstore_ray.data.service.records import (
    HubDataset,
    HubImport,
    PipelineApply,
    PipelineRequest,
    ProjectExport,
    ProjectRequest,
)
from qstore_ray.data.sources.base import SourceData, array_tasks
from qstore_ray.errors import (
    ConfigError,
    DataError,
    ServiceError,
    UnknownNameError,
    UsageError,
    unknown_name_error,
)
from tests.dataset_service import X, Y, made, running


def _search(words: str, limit: int) -> list[HubDataset]:
    return [HubDataset(id=f"{words}/{number}") for number in range(limit)]


def _read(asked: HubImport, _: Path) -> SourceData:
    if asked.dataset_name == "absent":
        raise DataError("no such dataset on the hub", value="absent")
    if asked.dataset_name == "broken":
        raise ZeroDivisionError("a fault of ours")
    return SourceData(
        tasks=array_tasks(X, Y, rows_per_task=5),
        official={"test": array_tasks(X[:4], Y[:4], rows_per_task=5, first_row=12)},
        feature_names=("a", "b", "c"),
    )


def _augmentations(steps):
    (step,) = steps
    if step.type != "shift":
        raise unknown_name_error("augmentation", step.type, ["shift"], field="type")

    def shift(x, seed: int, copy: int):
        noise = np.random.default_rng([seed, copy]).uniform(0.5, 1.0, size=x.shape)
        return x + step.parameters["by"] * noise

    return shift


SETTINGS = {"search_hub": _search, "read_hub": _read, "open_augmentations": _augmentations}


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("service"), **SETTINGS) as address:
        yield address


@pytest.fixture
def client(url: str) -> DatasetServiceClient:
    return DatasetServiceClient(url, retries=0)


def test_the_hub_is_searched_and_imported_through_the_settings(client: DatasetServiceClient):
    assert [found.id for found in client.search_hub("mnist", 2)] == ["mnist/0", "mnist/1"]
    job = client.import_hub(HubImport(dataset_name="a/b", name="hub", feature_columns=["c", "a"]))
    job = client.wait(job, pause=0.01)
    record = client.get(job.dataset_id)
    assert (record.status, record.source, record.feature_names) == (
        "ready",
        "huggingface",
        ("c", "a"),
    )
    np.testing.assert_array_equal(client.preview(record.id, rows=12).x, X[:, [2, 0]])
    assert record.splits["test"].rows == 4


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("absent", None, "no such dataset on the hub"),
        ("broken", None, "a fault of ours"),
        ("a/b", ["zz"], "no such feature column"),
    ],
)
def test_an_import_that_fails_says_why(client: DatasetServiceClient, name, columns, message):
    job = client.import_hub(HubImport(dataset_name=name, name="hub", feature_columns=columns))
    with pytest.raises(ServiceError, match=message):
        client.wait(job, pause=0.01)
    assert client.get(job.dataset_id).status == "failed"
    with pytest.raises(UsageError, match="the dataset is failed"):
        client.statistics(job.dataset_id)


def test_a_job_that_the_server_left_behind_has_failed(tmp_path: Path):
    release, begun = threading.Event(), threading.Event()

    def slow(_: HubImport, __: Path) -> SourceData:
        begun.set()
        release.wait(20.0)
        raise DataError("too late")

    asked = HubImport(dataset_name="a/b", name="slow")
    settings = {"read_hub": slow, "job_threads": 1, "max_waiting": 1}
    try:
        with running(tmp_path, **settings) as url:
            client = DatasetServiceClient(url)
            left, waiting = client.import_hub(asked), client.import_hub(asked)
            assert begun.wait(20.0)
            with pytest.raises(ServiceError, match="keeps answering 503"):
                client.import_hub(asked)
            assert client.job(left.id).status == "running"
        with running(tmp_path) as url:
            client = DatasetServiceClient(url)
            for job in (left, waiting):
                assert client.job(job.id).error == "server stopped"
                assert client.get(job.dataset_id).status == "failed"
    finally:
        release.set()


CONFIG = '<View><{tag} name="d" value="$v"/><Choices name="l" toName="d">{choices}</Choices></View>'
CHOICES = '<Choice value="good"/><Choice value="bad"/>'


def _task(value, *choices: str) -> dict:
    result = [{"type": "choices", "value": {"choices": [choice]}} for choice in choices]
    return {"data": {"v": value}, "annotations": [{"result": result}] if choices else []}


def _png(level: int) -> str:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), (level, 0, 0)).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


@pytest.mark.parametrize(
    ("tag", "values", "shape"),
    [
        ("Text", ["so good", "so bad"], (8,)),
        ("Image", [_png(1), _png(2)], (3, 4, 3)),
        ("TimeSeries", [[1.0, 2.0], [3.0, 4.0]], (2,)),
    ],
)
def test_a_label_studio_export_becomes_a_dataset(client, tag: str, values: list, shape: tuple):
    config = CONFIG.format(tag=tag, choices=CHOICES)
    project = client.create_project(ProjectRequest(name="mood", label_config=config))
    record = client.import_export(
        ProjectExport(
            project_id=project.id,
            name="labelled",
            tasks=[_task(values[0], "bad"), _task(values[1], "good", "good")],
            text_features=8 if tag == "Text" else None,
        )
    )
    assert (record.source, record.shape, record.class_names) == (
        "label_studio",
        shape,
        ("good", "bad"),
    )
    preview = client.preview(record.id)
    assert preview.y == [1, 0]
    if tag == "TimeSeries":
        assert preview.x == values
    if tag == "Image":
        assert np.asarray(preview.x)[:, 0, 0, 0].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("tag", "tasks", "options", "message"),
    [
        ("TimeSeries", [_task([1.0], "good", "bad")], {}, "name several choices"),
        ("TimeSeries", [_task([1.0], "ugly")], {}, "no such choice"),
        ("TimeSeries", [_task([1.0])], {}, "has no label"),
        ("TimeSeries", [_task([1.0])], {"skip_unlabelled": True}, "no task has a label"),
        ("TimeSeries", [_task(None, "good")], {}, "no such data"),
        ("TimeSeries", [_task("abc", "good")], {}, "list of numbers"),
        ("TimeSeries", [_task([1.0], "good"), _task([1.0, 2.0], "bad")], {}, "different shapes"),
        ("TimeSeries", [_task([1.0], "good")], {"text_features": 8}, "data of this project"),
        ("Text", [_task("a", "good")], {}, "data of this project"),
        ("Image", [_task("http://169.254.169.254/", "good")], {}, "never fetched"),
        ("Image", [_task("file:///etc/passwd", "good")], {}, "never fetched"),
        ("Image", [_task("data:image/png;base64,AAAA", "good")], {}, "not an image"),
        ("Image", [_task("data:image/png;base64,~", "good")], {}, "not an image"),
    ],
)
def test_an_export_that_is_no_dataset_is_refused(client, tag, tasks, options, message):
    config = CONFIG.format(tag=tag, choices=CHOICES)
    project = client.create_project(ProjectRequest(name="mood", label_config=config))
    asked = ProjectExport(project_id=project.id, name="labelled", tasks=tasks, **options)
    with pytest.raises(ConfigError if "project" in message else DataError, match=message):
        client.import_export(asked)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("<View", "not XML"),
        ("<View/>", "has 0"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><View/>', "declarations"),
        (CONFIG.format(tag="Text", choices='<Choice value="one"/>'), "two or more"),
        ('<View><Choices toName="x"/></View>', "must name a data tag"),
    ],
)
def test_a_labelling_configuration_that_is_none_is_refused(client, config: str, message: str):
    with pytest.raises(ConfigError, match=message):
        client.create_project(ProjectRequest(name="mood", label_config=config))


def test_augmentation_adds_copies_to_train_alone(url: str, client: DatasetServiceClient):
    old = made(url, x=X, y=Y, x_test=X[:3], y_test=Y[:3])
    steps = [{"type": "shift", "parameters": {"by": 1.0}}]
    pipeline = client.create_pipeline(PipelineRequest(dataset_id=old.id, transformations=steps))
    asked = PipelineApply(pipeline_id=pipeline.pipeline_id, name="more", copies=2, seed=3)
    one, two = (client.wait(client.apply_pipeline(asked), pause=0.01) for _ in range(2))
    assert one.result == {"original": 12, "augmented": 24, "total": 36}
    new = client.get(one.dataset_id)
    assert new.splits["train"].rows == 36
    assert new.splits["test"] == old.splits["test"]
    assert new.revision == client.get(two.dataset_id).revision  # the seed decides
    x = np.asarray(client.preview(new.id, rows=36).x)
    np.testing.assert_array_equal(x[:12], X)
    assert (x[12:24] > X).all()
    assert (x[12:24] != x[24:]).all()
    none = client.create_pipeline(
        PipelineRequest(
            dataset_id=old.id, transformations=[{"type": "shift", "parameters": {"by": 0.0}}]
        )
    )
    same = client.apply_pipeline(PipelineApply(pipeline_id=none.pipeline_id, name="same"))
    x = np.asarray(client.preview(client.wait(same, pause=0.01).dataset_id, rows=24).x)
    np.testing.assert_array_equal(x, np.concatenate([X, X]))
    with pytest.raises(UnknownNameError, match="unknown augmentation"):
        client.create_pipeline(
            PipelineRequest(dataset_id=old.id, transformations=[{"type": "shfit"}])
        )


def test_waiting_for_a_job_is_bounded(tmp_path: Path):
    release = threading.Event()

    def slow(_: HubImport, __: Path) -> SourceData:
        release.wait(20.0)
        raise DataError("too late")

    try:
        with running(tmp_path, read_hub=slow) as url:
            client = DatasetServiceClient(url)
            job = client.import_hub(HubImport(dataset_name="a/b", name="slow"))
            with pytest.raises(ServiceError, match=r"not done after 0\.05 s"):
                client.wait(job, seconds=0.05, pause=0.01)
    finally:
        release.set()
