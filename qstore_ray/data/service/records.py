"""What the dataset service and its clients say to each other, as pydantic models.

Answers are read leniently in one direction only: a field unknown to this version is left
out, so that a newer server can be asked; a field that is missing or of another type is an error.
Requests are strict: an unknown key is refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from qstore_ray.data.columns import TableSchema, TableSchemaDict
from qstore_ray.errors import DataError
from qstore_ray.types import Table

Origin: TypeAlias = Literal["huggingface", "label_studio", "custom"]
Status: TypeAlias = Literal["pending", "ready", "failed"]
Split: TypeAlias = Literal["train", "val", "test"]
Format: TypeAlias = Literal["npz", "parquet", "json", "csv"]
JobStatus: TypeAlias = Literal["queued", "running", "done", "failed"]

SPLITS: tuple[Split, ...] = ("train", "val", "test")
ID_PATTERN = r"^[0-9a-f]{16}$"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"
# A repository of the hub is `name` or `owner/name`.
REPOSITORY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?$"

Id: TypeAlias = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
Name: TypeAlias = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Description: TypeAlias = Annotated[str, StringConstraints(max_length=4000)]
Metadata: TypeAlias = Annotated[dict[str, str], Field(max_length=64)]


class Answer(BaseModel):
    """Base of what the server answers; fields that are not known here are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Request(BaseModel):
    """Base of what a client asks; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SplitRecord(Answer):
    """One part of a dataset: its rows, and its `.npz` file of x (rows, …) and y (rows,)."""

    rows: int = Field(ge=1)
    bytes: int = Field(ge=1)
    sha256: str = Field(pattern=SHA256_PATTERN)


class DatasetRecord(Answer):
    """A dataset of the catalogue.

    Args:
        status: `pending` while a job makes it, then `ready` or `failed`.
        shape: of one row of x.
        num_classes: distinct labels of all parts together.
        splits: the parts that exist, by name.
        copies: changed copies of each row that train holds behind its rows; such a train is not
            cut, because val and test would have copies of its rows.
        table: what the columns of a table mean, as `TableSchema.to_dict` writes it.
        revision: changes with the content of any part, and with nothing else.
    """

    id: str = Field(pattern=ID_PATTERN)
    name: str = Field(pattern=NAME_PATTERN)
    source: Origin = "custom"
    status: Status = "ready"
    description: str = ""
    num_samples: int = Field(default=0, ge=0)
    num_classes: int = Field(default=0, ge=0)
    shape: tuple[int, ...] = ()
    feature_names: tuple[str, ...] | None = None
    class_names: tuple[str, ...] | None = None
    splits: dict[Split, SplitRecord] = Field(default_factory=dict)
    copies: int = Field(default=0, ge=0)
    table: Table | None = None
    revision: str = ""
    metadata: dict[str, str] = Field(default_factory=dict)
    created: str = ""


def table_of(record: DatasetRecord) -> TableSchema | None:
    """What the columns of the dataset mean, where it is a table.

    Raises:
        DataError: the record's table is none.
    """
    if record.table is None:
        return None
    try:
        return TableSchema.from_dict(cast("TableSchemaDict", record.table))
    except (KeyError, TypeError, ValueError) as exc:
        raise DataError(
            "the record does not say what its columns mean",
            field="table",
            value=record.id,
            fix="Upload the table again.",
        ) from exc


class DatasetPatch(Request):
    """The fields of a record that may be changed after it was made."""

    name: Name | None = None
    description: Description | None = None
    metadata: Metadata | None = None


class FeatureStatistics(Answer):
    """Mean, standard deviation and range of each of the F features, in their order.

    They are over the values that are not missing, and None where all are.
    """

    mean: list[float | None]
    std: list[float | None]
    min: list[float | None]
    max: list[float | None]


class SplitStatistics(Answer):
    """Rows, rows of each class (for whole-number and text labels), and the features' statistics."""

    rows: int
    class_distribution: dict[str, int] | None
    features: FeatureStatistics


class Preview(Answer):
    """The first rows of a part."""

    split: Split
    x: list[Any]
    y: list[Any]


class JobRecord(Answer):
    """Work that takes longer than a request: what became of it, and the dataset it makes."""

    id: str = Field(pattern=ID_PATTERN)
    kind: str
    status: JobStatus
    dataset_id: str = Field(pattern=ID_PATTERN)
    error: str = ""
    result: dict[str, int] = Field(default_factory=dict)


class HubDataset(Answer):
    """A dataset that the Hugging Face hub offers."""

    id: str
    downloads: int | None = None
    likes: int | None = None
    gated: bool = False


class HubImport(Request):
    """Which dataset of the hub to import, and which columns hold x and y.

    Args:
        feature_columns: columns of numbers.
        feature_column: one column of images or vectors.
        split_mapping: which of our parts a split of the hub becomes: `{"validation": "val"}`.
    """

    dataset_name: str = Field(pattern=REPOSITORY_PATTERN)
    dataset_config: Annotated[str, Field(max_length=100)] | None = None
    revision: Annotated[str, Field(max_length=100)] | None = None
    feature_columns: Annotated[tuple[str, ...], Field(min_length=1, max_length=4096)] | None = None
    feature_column: Annotated[str, Field(max_length=200)] | None = None
    label_column: Annotated[str, Field(max_length=200)] | None = None
    split_mapping: Annotated[dict[str, Split], Field(min_length=1, max_length=3)] | None = None
    name: Name
    description: Description = ""


class ProjectRequest(Request):
    """A Label Studio project: its name and its labelling configuration (XML)."""

    name: Name
    label_config: Annotated[str, Field(min_length=1, max_length=20_000)]


class ProjectRecord(Answer):
    """A Label Studio project whose exports can be turned into datasets."""

    id: str = Field(pattern=ID_PATTERN)
    name: str = Field(pattern=NAME_PATTERN)
    label_config: str
    choices: tuple[str, ...]
    data_key: str
    data_kind: Literal["text", "image", "array"]


class ProjectExport(Request):
    """The JSON export of a Label Studio project, to become a dataset.

    Args:
        tasks: what Label Studio writes under "Export → JSON".
        text_features: width F of the hashed word counts that texts become; needed for texts.
        skip_unlabelled: leave out tasks without a label instead of refusing them.
    """

    project_id: Id
    name: Name
    tasks: Annotated[list[Table], Field(min_length=1, max_length=1_000_000)]
    text_features: Annotated[int, Field(ge=1, le=2**16)] | None = None
    skip_unlabelled: bool = False


class Transformation(Request):
    """One augmentation by its registered name, and its parameters."""

    type: Annotated[str, Field(min_length=1, max_length=100)]
    parameters: Annotated[Table, Field(max_length=32)] = Field(default_factory=dict)


class PipelineRequest(Request):
    """Transformations to apply to a dataset's training rows, in this order."""

    dataset_id: Id
    transformations: Annotated[tuple[Transformation, ...], Field(min_length=1, max_length=32)]


class PipelineRecord(Answer):
    """A stored pipeline."""

    pipeline_id: str = Field(pattern=ID_PATTERN)
    dataset_id: str = Field(pattern=ID_PATTERN)
    transformations: tuple[Transformation, ...]


class PipelineApply(Request):
    """Make a new dataset: the training rows, and `copies` transformed copies of each."""

    pipeline_id: Id
    name: Name
    copies: Annotated[int, Field(ge=1, le=100)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


class Health(Answer):
    """The server answers."""

    status: Literal["ok"] = "ok"
