"""What the manifest of a checkpoint says of input, preparation and data, checked before it is used.

A manifest is JSON that anybody may have edited. What does not have the form that a run writes is
damage, and is reported as such; it is not read halfway.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qstore_ray.errors import CheckpointError
from qstore_ray.train.run.manifest import ModelDescription
from qstore_ray.train.run.provenance import DataOrigin


class DescribedColumn(BaseModel):
    """A column of the input."""

    name: str
    kind: str
    categories: list[Any] = []


class DescribedColumns(BaseModel):
    """The columns of the input, without the label."""

    features: list[DescribedColumn]


class DescribedInput(BaseModel):
    """What the model takes: named columns, images of a shape, or rows of a width."""

    n_features: int | None = None
    """Numbers that a row has before the preparation."""
    table: DescribedColumns | None = None
    image_shape: list[int] | None = None


class DescribedStep(BaseModel):
    """A step of the preparation; its options are in `model_extra`."""

    model_config = ConfigDict(extra="allow")

    name: str


class DescribedPreparation(BaseModel):
    """The steps of the preparation, in their order."""

    steps: list[DescribedStep]


class CheckpointModel(BaseModel):
    """The `model` entry of a manifest, as far as a document needs it."""

    n_features: int = Field(ge=0)
    """Numbers that a row has after the preparation."""
    classes: list[Any]
    task: str | None = None
    preparation: DescribedPreparation
    input: DescribedInput = DescribedInput()
    data: DataOrigin | None = None


def described(about: ModelDescription) -> CheckpointModel:
    """The `model` entry of a manifest, checked.

    Raises:
        CheckpointError: it has another form than runs write.
    """
    try:
        return CheckpointModel.model_validate(about)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CheckpointError(
            f"the manifest describes no model: {where}: {first['msg'].lower()}",
            field="model",
            value=first["input"],
            fix="Take another checkpoint, or a .qsm file.",
        ) from exc
