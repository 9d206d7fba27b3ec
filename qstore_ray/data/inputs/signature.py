"""What a model is given: its columns or its image, and how files of the same kind are read.

It is taken from the training data and kept with the model, so that rows to predict on are read by
the same rules: a column by its name, a category by the number it had, an image in the same size.

    Signature.of(dataset)                  at training
    signature.raw(frame)                   raw rows (N, …) of anything with columns, or of an array
    signature.to_dict()                    JSON-ready, in checkpoints and `.qsm` files
"""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypedDict

from pydantic import TypeAdapter, ValidationError

from qstore_ray.data.columns import Column, TableSchema, TableSchemaDict
from qstore_ray.data.inputs.frame import by_name, by_position, frame_of
from qstore_ray.data.rows.labels import Label
from qstore_ray.data.rows.validate import as_array
from qstore_ray.data.tables.request import USUAL_SIGNS
from qstore_ray.errors import CheckpointError, ConfigError
from qstore_ray.types import ReadOnlyTable, Table

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.types import AnyArray

KEPT = (
    "format",
    "delimiter",
    "header",
    "encoding",
    "decimal",
    "thousands",
    "comment",
    "skip_lines",
    "missing",
    "size",
    "mode",
    "x",
    "y",
)
"""Parameters of the source `local` that say how a file is read, not which file: kept if set."""


class SignatureDict(TypedDict):
    """A `Signature` as JSON holds it."""

    n_features: int
    table: TableSchemaDict | None
    image_shape: list[int] | None
    reader: Table
    merged: list[Label]


@dataclass(frozen=True)
class Signature:
    """What a model is given, as its training data had it.

    Args:
        n_features: F of a raw row.
        table: the columns, where they have names.
        image_shape: of a raw row that is an image: (height, width) or (height, width, 3).
        reader: parameters of the source `local` with which the training files were read, without
            paths and limits.
        merged: labels that all are the last class, where rare classes were merged.
    """

    n_features: int
    table: TableSchema | None = None
    image_shape: tuple[int, ...] | None = None
    reader: ReadOnlyTable = field(default_factory=dict)
    merged: tuple[Label, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset) -> Signature:
        """The signature of models that are trained on `dataset`."""
        schema, config = dataset.schema, dataset.config
        table = schema.table
        if schema.feature_names is not None:
            known = {column.name: column for column in table.features} if table else {}
            features = tuple(known.get(name, Column(name)) for name in schema.feature_names)
            label = config.columns.label if config.columns else None
            own = table or TableSchema(features, label=label, missing=USUAL_SIGNS)
            table = replace(own, features=features)
        local = config.params if config.source == "local" else {}
        return cls(
            n_features=schema.n_raw_features,
            table=table,
            image_shape=schema.image_shape,
            reader={name: local[name] for name in KEPT if name in local},
            merged=dataset.merged,
        )

    @property
    def named(self) -> bool:
        """Whether the columns have names of their own, none that were made from their places."""
        return self.table is not None and self.table.header

    def line(self) -> str:
        """What a row is, in one line."""
        if self.table is not None:
            return self.table.line()
        if self.image_shape is not None:
            return f"images of {' x '.join(map(str, self.image_shape))} values"
        return f"{self.n_features} features without names"

    def raw(self, given: Any, label: Any = None) -> AnyArray:
        """Raw rows (N, F) or (N, …) of anything with columns, by name, or of an array, by position.

        Without names of its own, a model takes the columns of a table by position too.

        Args:
            label: a column that is no feature; by default the one with a usual name of labels.

        Raises:
            DataError: columns that are missing, or there twice, or whose values do not fit.
        """
        frame = frame_of(given)
        if frame is None:
            return by_position(given, self.table)
        if self.table is None:
            return frame.unnamed(self.n_features, label)
        if not self.named and frame.placed and frame.width == self.n_features:
            frame = frame.renamed(self.table.names)
        return by_name(frame, self.table)

    def to_dict(self) -> SignatureDict:
        """The signature as JSON holds it."""
        return {
            "n_features": self.n_features,
            "table": None if self.table is None else self.table.to_dict(),
            "image_shape": None if self.image_shape is None else list(self.image_shape),
            "reader": dict(self.reader),
            "merged": list(self.merged),
        }

    @classmethod
    def from_dict(cls, data: SignatureDict) -> Signature:
        """The signature that `to_dict` gave, also after a round trip through JSON.

        Raises:
            CheckpointError: anything else, as a file from elsewhere may hold.
        """
        try:
            kept = _KEPT_FORM.validate_json(json.dumps(data), strict=True)
        except (ValidationError, ValueError, RecursionError) as exc:
            where: tuple[str, ...] = ("input",)
            why = str(exc)
            if isinstance(exc, ValidationError):
                first = exc.errors()[0]
                where, why = ("input", *map(str, first["loc"])), first["msg"]
            raise CheckpointError(
                f"what the model takes is not described: {why}", field=".".join(where)
            ) from exc
        found = cls(kept.n_features, kept.table, kept.image_shape, kept.reader, kept.merged)
        if json.loads(json.dumps(found.to_dict())) != json.loads(json.dumps(data)):
            raise CheckpointError("what the model takes has unknown keys", field="input")
        found.check()
        return found

    def check(self) -> None:
        """Raise `CheckpointError` where its parts do not fit each other."""
        if self.table is not None and len(set(self.table.names)) != self.n_features:
            raise CheckpointError(
                f"{len(set(self.table.names))} names for {self.n_features} features",
                field="input.table",
            )
        if self.image_shape is not None and (
            math.prod(self.image_shape) != self.n_features or min(self.image_shape) < 1
        ):
            raise CheckpointError(
                f"the image has not {self.n_features} values",
                field="input.image_shape",
                value=self.image_shape,
            )
        if unknown := set(self.reader) - set(KEPT):
            raise CheckpointError(
                "no setting of a reader", field="input.reader", value=sorted(unknown)
            )
        from qstore_ray.data.sources.local.params import LocalParams

        try:
            LocalParams(path="rows", **self.reader)
        except ConfigError as exc:
            raise CheckpointError(
                exc.message, field=f"input.reader.{exc.field}", value=exc.value
            ) from exc


def raw_rows(given: Any, signature: Signature | None, label: str | None = None) -> AnyArray:
    """`Signature.raw`; without a signature, as models of earlier versions are, by position.

    Args:
        label: a column that is no feature.

    Raises:
        DataError: see `Signature.raw`.
    """
    frame = frame_of(given)
    if signature is not None:
        if frame is not None and signature.table is None and not (frame.placed or frame.announced):
            names = map(str, frame.taken(signature.n_features, label).names)
            warnings.warn(
                "this model was trained on arrays and knows no names: the columns are taken by "
                f"position: {', '.join(names)}",
                stacklevel=5,  # the line that calls `TrainedModel.predict`
            )
        return signature.raw(given, label)
    if frame is not None:
        warnings.warn(
            "this model was trained by a version that kept no column names: the columns are taken "
            "by position",
            stacklevel=5,  # the line that calls `TrainedModel.predict`
        )
        return frame.without(label).in_places()
    return as_array(given, "x")


@dataclass(frozen=True)
class _Kept:
    n_features: int
    table: TableSchema | None
    image_shape: tuple[int, ...] | None
    reader: Table
    merged: tuple[Label, ...]


_KEPT_FORM = TypeAdapter(_Kept)
