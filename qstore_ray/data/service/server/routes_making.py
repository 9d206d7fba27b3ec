"""Routes that make datasets from elsewhere: the hub, Label Studio, augmentation; and their jobs.

What takes long is a job: the answer is 202 with the job's record, whose `dataset_id` is the dataset
under construction; `GET /jobs/{id}` reports when it is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Query, Request

from qstore_ray.data.service.records import (
    DatasetRecord,
    HubDataset,
    HubImport,
    JobRecord,
    PipelineApply,
    PipelineRecord,
    PipelineRequest,
    ProjectExport,
    ProjectRecord,
    ProjectRequest,
    table_of,
)
from qstore_ray.data.service.server.access import problems
from qstore_ray.data.service.server.augment import augmented
from qstore_ray.data.service.server.catalogue import new_id
from qstore_ray.data.service.server.content import Content
from qstore_ray.data.service.server.imports.hub import content_of
from qstore_ray.data.service.server.imports.label_studio import open_project, read_export
from qstore_ray.data.service.server.jobs import JobPool
from qstore_ray.data.service.server.routes_datasets import PathId, Settings, Store, splits_of

router = APIRouter()


def jobs_of(request: Request) -> JobPool:
    """The jobs of the application that a request came to."""
    jobs: JobPool = request.app.state.jobs
    return jobs


Jobs: TypeAlias = Annotated[JobPool, Depends(jobs_of)]


@router.get("/datasets/huggingface/search", tags=["hugging face"], responses=problems(501, 503))
def search_huggingface(
    settings: Settings,
    query: Annotated[str, Query(min_length=1, max_length=200)],
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> list[HubDataset]:
    """Datasets of the Hugging Face hub whose name or description has the words."""
    return settings.search_hub(query, limit)


@router.post(
    "/datasets/huggingface/import",
    tags=["hugging face"],
    status_code=202,
    responses=problems(501, 503),
)
def import_huggingface(asked: HubImport, settings: Settings, store: Store, jobs: Jobs) -> JobRecord:
    """Import a dataset of the hub, as a job."""
    made = store.reserve(asked.name, "huggingface", asked.description)

    def work() -> Mapping[str, int]:
        source = settings.read_hub(asked, settings.folder / "hub")
        content = content_of(source, asked.feature_columns, settings.max_array_bytes)
        record = store.complete(made.id, content)
        return {"num_samples": record.num_samples}

    return jobs.submit("huggingface-import", made.id, work)


@router.post(
    "/datasets/label-studio/project",
    tags=["label studio"],
    status_code=201,
    responses=problems(),
)
def create_project(asked: ProjectRequest, store: Store) -> ProjectRecord:
    """Register the labelling configuration whose exports are to become datasets."""
    project = open_project(asked)
    store.catalogue.put("project", project.id, project)
    return project


@router.post(
    "/datasets/label-studio/export",
    tags=["label studio"],
    status_code=201,
    responses=problems(404),
)
def import_export(asked: ProjectExport, store: Store) -> DatasetRecord:
    """Turn the JSON export of a project into a dataset; class k is the project's k-th choice."""
    project = store.catalogue.get("project", asked.project_id, ProjectRecord)
    return store.add(asked.name, "label_studio", read_export(project, asked))


@router.post(
    "/datasets/augmentation/pipeline",
    tags=["augmentation"],
    status_code=201,
    responses=problems(404, 501),
)
def create_pipeline(asked: PipelineRequest, settings: Settings, store: Store) -> PipelineRecord:
    """Store a list of transformations for a dataset; each is checked now."""
    store.get(asked.dataset_id)
    settings.open_augmentations(asked.transformations)
    pipeline = PipelineRecord(
        pipeline_id=new_id(), dataset_id=asked.dataset_id, transformations=asked.transformations
    )
    store.catalogue.put("pipeline", pipeline.pipeline_id, pipeline)
    return pipeline


@router.post(
    "/datasets/augmentation/apply",
    tags=["augmentation"],
    status_code=202,
    responses=problems(404, 409, 501, 503),
)
def apply_pipeline(asked: PipelineApply, settings: Settings, store: Store, jobs: Jobs) -> JobRecord:
    """Make a new dataset with transformed copies of the training rows, as a job."""
    pipeline = store.catalogue.get("pipeline", asked.pipeline_id, PipelineRecord)
    old = store.get(pipeline.dataset_id)
    transform = settings.open_augmentations(pipeline.transformations)
    parts = {split: store.rows(old, split) for split in splits_of(old)}
    content = Content(parts, old.feature_names, old.class_names, old.copies, table_of(old))
    made = store.reserve(asked.name, old.source, old.description)

    def work() -> Mapping[str, int]:
        store.complete(made.id, augmented(content, transform, asked.copies, asked.seed))
        original = len(parts["train"].y)
        copies = original * asked.copies
        return {"original": original, "augmented": copies, "total": original + copies}

    return jobs.submit("augmentation", made.id, work)


@router.get("/jobs/{id}", tags=["jobs"], responses=problems(404))
def get_job(id: PathId, jobs: Jobs) -> JobRecord:  # noqa: A002, the name in the path
    """What became of a job."""
    return jobs.get(id)
