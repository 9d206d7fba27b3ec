"""Label Studio: its labelling configuration and its JSON export, read without its SDK.

A project is classified by one `Choices` tag, which names one data tag, which names a key of each
task's data:

    <View>
      <Text name="review" value="$text"/>
      <Choices name="mood" toName="review"><Choice value="good"/><Choice value="bad"/></Choices>
    </View>

`Text` becomes hashed word counts, `Image` must be embedded (`data:image/png;base64,…`: the server
never fetches an address that somebody wrote into a task), and any other tag's data is taken as a
list of numbers.

Weinberger et al., Feature Hashing for Large Scale Multitask Learning, arXiv:0902.2206.
"""

from __future__ import annotations

import base64
import binascii
import io
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qstore_ray.data.files.pillow import load_pillow
from qstore_ray.data.service.records import ProjectExport, ProjectRecord, ProjectRequest
from qstore_ray.data.service.server.catalogue import new_id
from qstore_ray.errors import ConfigError, DataError

if TYPE_CHECKING:
    from qstore_ray.data.service.server.content import Content
    from qstore_ray.types import AnyArray

_LARGEST_IMAGE = 2**24  # pixels


def open_project(asked: ProjectRequest) -> ProjectRecord:
    """The project that a labelling configuration describes.

    Raises:
        ConfigError: not XML, or not one `Choices` tag on one data tag.
    """
    root = _parsed(asked.label_config)
    choices = list(root.iter("Choices"))
    if len(choices) != 1:
        raise ConfigError(
            f"a classification has one Choices tag, this has {len(choices)}",
            field="label_config",
            fix='Write <Choices name="label" toName="data"><Choice value="…"/>…</Choices>.',
        )
    target = choices[0].get("toName")
    data = [tag for tag in root.iter() if tag.get("name") == target and tag is not choices[0]]
    value = data[0].get("value", "") if data else ""
    if target is None or not value.startswith("$"):
        raise ConfigError(
            "toName of the Choices tag must name a data tag whose value is a $key",
            field="label_config",
            value=target,
        )
    names = tuple(choice.get("value") or "" for choice in choices[0].iter("Choice"))
    if len(names) < 2 or len(set(names)) < len(names) or "" in names:
        raise ConfigError(
            "two or more different choices are needed", field="label_config", value=names
        )
    kinds = {"Text": "text", "Image": "image"}
    return ProjectRecord.model_validate(
        {
            "id": new_id(),
            "name": asked.name,
            "label_config": asked.label_config,
            "choices": names,
            "data_key": value[1:],
            "data_kind": kinds.get(data[0].tag, "array"),
        }
    )


def _parsed(text: str) -> ET.Element:
    if "<!" in text:  # no DOCTYPE, hence no entities that could multiply or lead elsewhere
        raise ConfigError("declarations and comments are refused", field="label_config")
    try:
        return ET.fromstring(text)  # noqa: S314, without a DOCTYPE there is nothing to expand
    except ET.ParseError as exc:
        raise ConfigError(f"not XML: {exc}", field="label_config") from exc


def read_export(project: ProjectRecord, asked: ProjectExport) -> Content:
    """The labelled tasks as training rows; class k is the project's k-th choice.

    Raises:
        DataError: a task without a label or data, contradicting labels, another choice.
        ConfigError: texts without `text_features`, or `text_features` without texts.
    """
    import numpy as np

    from qstore_ray.data.service.server.content import Content, Rows

    if (project.data_kind == "text") != (asked.text_features is not None):
        raise ConfigError(
            f"the data of this project is {project.data_kind}",
            field="text_features",
            value=asked.text_features,
            fix="Give the width for texts, for example 64; leave it out otherwise.",
        )
    labels, data = [], []
    for position, task in enumerate(asked.tasks):
        where = f"tasks.{position}"
        label = _label(task, project, where)
        if label is None:
            if asked.skip_unlabelled:
                continue
            raise DataError(
                "the task has no label", field=where, fix="Label it, or set skip_unlabelled."
            )
        labels.append(project.choices.index(label))
        data.append(_data(task, project, where))
    if not labels:
        raise DataError("no task has a label", field="tasks")
    if project.data_kind == "text":
        x = _hashed(data, asked.text_features or 0)
    elif len({row.shape for row in data}) > 1:
        raise DataError(
            "rows of different shapes", field="tasks", value=sorted({row.shape for row in data})
        )
    else:
        x = np.stack(data)
    return Content({"train": Rows(x, np.asarray(labels))}, class_names=project.choices)


def _label(task: Mapping[str, Any], project: ProjectRecord, where: str) -> str | None:
    """The choice that all annotations of a task agree on; None if they have no choice."""
    found: set[str] = set()
    annotations = task.get("annotations", [])
    if not isinstance(annotations, list):
        raise DataError("annotations must be a list", field=where)
    for annotation in annotations:
        if not isinstance(annotation, dict) or annotation.get("was_cancelled"):
            continue
        for result in annotation.get("result") or []:
            value = result.get("value") if isinstance(result, dict) else None
            if isinstance(value, dict) and result.get("type") == "choices":
                found |= {str(choice) for choice in value.get("choices") or []}
    if len(found) > 1:
        raise DataError(
            "the annotations name several choices",
            field=where,
            value=sorted(found),
            fix="Settle on one in Label Studio, and export again.",
        )
    if unknown := found - set(project.choices):
        raise DataError(
            "the project has no such choice",
            field=where,
            value=min(unknown),
            fix=f"It has: {', '.join(project.choices)}.",
        )
    return next(iter(found), None)


def _data(task: Mapping[str, Any], project: ProjectRecord, where: str) -> Any:
    import numpy as np

    fields = task.get("data")
    value = fields.get(project.data_key) if isinstance(fields, dict) else None
    where = f"{where}.data.{project.data_key}"
    if value is None:
        raise DataError("the task has no such data", field=where)
    if project.data_kind == "array":
        try:
            return np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError) as exc:
            raise DataError("a list of numbers is needed", field=where, value=value) from exc
    if not isinstance(value, str):
        raise DataError("text is needed", field=where, value=value)
    return value if project.data_kind == "text" else _image(value, where)


def _image(address: str, where: str) -> AnyArray:
    """The pixels (height, width, 3) of an image embedded in a `data:` address."""
    import numpy as np

    pil = load_pillow()
    head, _, content = address.partition(",")
    if not (head.startswith("data:image/") and head.endswith(";base64")):
        raise DataError(
            "the image is not embedded, and addresses are never fetched",
            field=where,
            value=address,
            fix="Export images as data:image/png;base64,… .",
        )
    try:
        with pil.Image.open(io.BytesIO(base64.b64decode(content, validate=True))) as image:
            if image.width * image.height > _LARGEST_IMAGE:
                raise DataError("the image is too large", field=where, value=image.size)
            return np.asarray(image.convert("RGB"))
    except (
        binascii.Error,
        pil.UnidentifiedImageError,
        OSError,
        ValueError,
        SyntaxError,
        pil.Image.DecompressionBombError,
    ) as exc:
        raise DataError("not an image", field=where, value=address) from exc


def _hashed(texts: list[str], width: int) -> AnyArray:
    """Texts as signed counts of hashed words, each row of length 1 (N, width)."""
    from sklearn.feature_extraction.text import HashingVectorizer

    counts: AnyArray = HashingVectorizer(n_features=width).transform(texts).toarray()
    return counts
