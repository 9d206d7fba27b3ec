"""`DatasetConfig` of Q-Store 4.1 as `[dataset]`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from qstore_ray.migrate.draft import JobDraft, known
from qstore_ray.migrate.old_table import OldTable, Unread, is_number
from qstore_ray.types import Table

SOURCES: Final = {
    "keras": "keras",
    "huggingface": "huggingface",
    "backend_api": "backend_api",
    "local_files": "local",
    "local": "local",
}
"""Old source → source of a job."""

_KERAS: Final = ("mnist", "fashion_mnist", "cifar10", "cifar100")
_ID: Final = re.compile(r"[0-9a-f]{16}")
_SECRET: Final = "a credential; set the environment variable QSTORE_DATA_TOKEN"  # noqa: S105 - an explanation
_IGNORED: Final = "documented in Q-Store, but never read there"


def take_dataset(draft: JobDraft, table: OldTable) -> None:
    """Write `[dataset]`, as far as the old configuration says what it is.

    Args:
        draft: the job. table: of DatasetConfig.
    """
    for key in ("name", "source"):
        if isinstance(table.values.get(key), Unread):
            draft.note(
                table, key, "unknown", new=f"dataset.{key}",
                text=f"it is computed in the program; write dataset.{key} yourself",
            )  # fmt: skip
    old = known(table, "source")
    name = old.rpartition(".")[2].lower() if isinstance(old, str) else ""
    if name not in SOURCES:
        if name:
            draft.drop(table, "source", f"unknown; the sources are {', '.join(sorted(SOURCES))}")
        return
    if known(table, "name") is not None:
        draft.take(table, "name", "dataset.name", state="kept")
    else:
        draft.set("dataset.name", name)
    draft.take(table, "source", "dataset.source", SOURCES[name])
    params = table.values.get("source_params", {}) or {}
    if not isinstance(params, dict):
        draft.note(
            table, "source_params", "unknown", new="dataset.params",
            text="they are made elsewhere in the program; write dataset.params yourself",
        )  # fmt: skip
        return
    inner = OldTable("source_params", params, table.line, dict.fromkeys(params, table.line))
    seen = _TAKEN[name](draft, inner, table)
    for key in params:
        if key not in seen:
            draft.drop(inner, key, "it is unknown in Q-Store, too")
    _take_rest(draft, table)


def _take_rest(draft: JobDraft, table: OldTable) -> None:
    split = known(table, "split_config")
    if isinstance(split, dict):
        parts = {name: split[name] for name in ("train", "val", "test") if split.get(name)}
        draft.take(
            table, "split_config", "dataset.split", parts, state="changed",
            text="test rows that the source brings stay test rows here; others are dealt out by "
            "dataset.seed, and by class",
        )  # fmt: skip
    elif table.values.get("split_config") is not None:
        draft.note(table, "split_config", "unknown", new="dataset.split", text="write it yourself")
    if table.values.get("preprocessing") is not None:
        draft.drop(
            table, "preprocessing",
            "every adapter of Q-Store ignored it; for an effect write dataset.preprocessing, "
            'such as [{ name = "minmax" }]',
            "dataset.preprocessing",
        )  # fmt: skip
    if table.values.get("cache_dir") is not None:
        draft.take(table, "cache_dir", "dataset.cache_dir", state="kept")


def _take(draft: JobDraft, inner: OldTable, names: dict[str, str], **more: Any) -> None:
    for key, new in names.items():
        if inner.values.get(key) is not None:
            draft.take(inner, key, new, **more)


def _keras(draft: JobDraft, inner: OldTable, table: OldTable) -> set[str]:
    module = known(inner, "dataset_module")
    name = module.rpartition(".")[2] if isinstance(module, str) else known(table, "name", "")
    if name in _KERAS:
        text = "from the cache of Keras; set dataset.params.download = true to fetch it"
        if "dataset_module" in inner.values:
            draft.take(inner, "dataset_module", "dataset.params.dataset", name, text=text)
        else:
            draft.set("dataset.params.dataset", name)
            draft.note(
                table, "name", "changed", new="dataset.params.dataset", new_value=name,
                text=f"Q-Store needed dataset_module; {text}",
            )  # fmt: skip
    else:
        draft.drop(
            inner, "dataset_module",
            f'only {", ".join(_KERAS)}; save other arrays as .npz and set source = "local"',
        )  # fmt: skip
    return {"dataset_module"}


def _huggingface(draft: JobDraft, inner: OldTable, table: OldTable) -> set[str]:
    _take(
        draft,
        inner,
        {
            "dataset_name": "dataset.params.path",
            "config_name": "dataset.params.config",
            "revision": "dataset.revision",
        },
    )
    _take(
        draft, inner,
        {
            "feature_column": "dataset.params.feature_column",
            "label_column": "dataset.columns.label",
        },
        state="changed", text=f"{_IGNORED}; here it has an effect",
    )  # fmt: skip
    if "trust_remote_code" in inner.values:
        draft.drop(inner, "trust_remote_code", "code of a dataset is never run here")
    mapping = known(inner, "split_mapping")
    if isinstance(mapping, dict):
        parts = {
            hub: ours
            for ours, hub in mapping.items()
            if ours in {"train", "val", "test"} and isinstance(hub, str)
        }
        if len(parts) == len(mapping) and not any("[" in hub for hub in parts):
            draft.take(
                inner, "split_mapping", "dataset.params.split_mapping", parts, state="changed",
                text=f"{_IGNORED}; here the split of the hub comes first",
            )  # fmt: skip
        else:
            text = "slices of a split cannot be named; cut them by dataset.split"
            draft.drop(inner, "split_mapping", text)
    elif inner.values.get("split_mapping") is not None:
        draft.note(
            inner, "split_mapping", "unknown", new="dataset.params.split_mapping",
            text="it is no table that can be read; write dataset.params.split_mapping yourself",
        )  # fmt: skip
    if "label_column" not in inner.values:
        draft.note(
            inner, "label_column", "changed", new="dataset.columns.label",
            text="Q-Store guessed the columns; here they are image or img, and label or labels, "
            "or named",
        )  # fmt: skip
    return {
        "dataset_name", "config_name", "revision", "trust_remote_code", "feature_column",
        "label_column", "split_mapping",
    }  # fmt: skip


def _backend(draft: JobDraft, inner: OldTable, table: OldTable) -> set[str]:
    key = known(inner, "dataset_id")
    if isinstance(key, str) and _ID.fullmatch(key):
        draft.take(inner, "dataset_id", "dataset.params.dataset_id", state="kept")
    else:
        draft.note(
            inner, "dataset_id", "unknown", new="dataset.params.dataset_id",
            text="the service here gives ids of 16 hexadecimal digits: import the data into it "
            "(qstore data serve), and write the id yourself",
        )  # fmt: skip
    _take(draft, inner, {"base_url": "dataset.params.base_url"}, state="kept")
    _take(
        draft, inner, {"api_url": "dataset.params.base_url"}, state="changed",
        text="Q-Store did not read it, and asked localhost",
    )  # fmt: skip
    _take(draft, inner, {"timeout": "dataset.params.timeout"}, state="changed", text=_IGNORED)
    for name in ("api_key", "jwt_token"):
        if name in inner.values:
            draft.hide(inner, name, _SECRET)
    if "headers" in inner.values:
        draft.hide(inner, "headers", f"{_IGNORED}; {_SECRET}")
    if "api_client" in inner.values:
        draft.drop(inner, "api_client", "the address and the token are enough")
    return {
        "dataset_id", "base_url", "api_url", "timeout", "api_key", "jwt_token", "headers",
        "api_client",
    }  # fmt: skip


def _local(draft: JobDraft, inner: OldTable, table: OldTable) -> set[str]:
    form = str(known(inner, "format", "")).lower()
    taken = {"format"}
    for names, more in _FORMATS.get(form, ()):
        _take(draft, inner, names, **more)
        taken |= set(names)
    if form not in _FORMATS:
        draft.drop(inner, "format", f"unknown; the formats were {', '.join(_FORMATS)}")
        return taken
    draft.note(inner, "format", "dropped", text="the suffix of the file says it")
    return taken | _EXTRA[form](draft, inner)


def _no_more(draft: JobDraft, inner: OldTable) -> set[str]:
    return set()


def _arrays(draft: JobDraft, inner: OldTable) -> set[str]:
    """Arrays in separate files: two for train are read here, more have to be joined."""
    parts = [f"{part}_{what}" for part in ("val", "test") for what in ("data", "labels")]
    given = [name for name in parts if inner.values.get(name) is not None]
    pair = ("train_data", "train_labels")
    if given:
        for name in (each for each in (*pair, *given) if each in inner.values):
            draft.drop(
                inner, name,
                "save all arrays in one file, numpy.savez(file, x_train=…, y_train=…, x_test=…, "
                "…), and set dataset.params.path",
            )  # fmt: skip
    else:
        _take(draft, inner, dict(zip(pair, _PAIR, strict=True)))
    return {*pair, *parts}


def _table(draft: JobDraft, inner: OldTable) -> set[str]:
    if inner.values.get("feature_columns") is not None:
        draft.take(inner, "feature_columns", "dataset.columns.features")
    if "header" in inner.values:
        has = known(inner, "header", 0) is not None
        draft.take(inner, "header", "dataset.params.header", has, state="renamed")
    if test := inner.values.get("test_split"):
        split = {"train": round(1.0 - test, 12), "test": test} if is_number(test) else None
        draft.take(
            inner, "test_split", "dataset.split", split, state="changed",
            text=f"{_IGNORED}; here it has an effect",
        )  # fmt: skip
    return {"feature_columns", "header", "test_split"}


def _images(draft: JobDraft, inner: OldTable) -> set[str]:
    if inner.values.get("image_size") is not None:
        draft.take(
            inner, "image_size", "dataset.params.size", state="changed",
            text="height and width; Q-Store had them the other way round",
        )  # fmt: skip
    mode = {"rgb": "RGB", "grayscale": "L"}.get(str(known(inner, "color_mode", "rgb")))
    if mode is None:
        draft.drop(inner, "color_mode", "write dataset.params.mode: RGB or L")
    elif "color_mode" in inner.values:
        draft.take(inner, "color_mode", "dataset.params.mode", mode)
    else:
        draft.default(inner, "color_mode", "dataset.params.mode", "RGB")
    return {"image_size", "color_mode"}


_PAIR: Final = ("dataset.params.path", "dataset.params.y_path")
_ALIAS: Final = {"state": "changed", "text": f"{_IGNORED}; here it has an effect"}
_FILES: Final = {
    "train_file": "dataset.params.train",
    "val_file": "dataset.params.val",
    "test_file": "dataset.params.test",
    "label_column": "dataset.columns.label",
}
_TABLE: Final[tuple[tuple[dict[str, str], Table], ...]] = (
    (_FILES, {}),
    ({"file_path": "dataset.params.path"}, _ALIAS),
)
_FORMATS: Final[dict[str, tuple[tuple[dict[str, str], Table], ...]]] = {
    "numpy": (
        ({"data_file": "dataset.params.path"}, {}),
        (
            {
                "file_path": "dataset.params.path",
                "labels_path": "dataset.params.y_path",
                "data_key": "dataset.params.x",
                "labels_key": "dataset.params.y",
            },
            _ALIAS,
        ),
    ),
    "csv": (*_TABLE, ({"sep": "dataset.params.delimiter"}, {})),
    "parquet": _TABLE,
    "images": (
        ({"image_dir": "dataset.params.path", "labels_file": "dataset.params.y_path"}, {}),
        ({"directory": "dataset.params.path"}, _ALIAS),
    ),
    "hdf5": (
        (
            {
                "hdf5_file": "dataset.params.path",
                "train_data_key": "dataset.params.x",
                "train_labels_key": "dataset.params.y",
                "val_data_key": "dataset.params.x_val",
                "val_labels_key": "dataset.params.y_val",
                "test_data_key": "dataset.params.x_test",
                "test_labels_key": "dataset.params.y_test",
            },
            {},
        ),
        (
            {
                "file_path": "dataset.params.path",
                "data_key": "dataset.params.x",
                "labels_key": "dataset.params.y",
            },
            _ALIAS,
        ),
    ),
}
"""Format → old parameters and the fields of a job."""

_EXTRA: Final[dict[str, Callable[[JobDraft, OldTable], set[str]]]] = {
    "numpy": _arrays,
    "csv": _table,
    "parquet": _table,
    "images": _images,
    "hdf5": _no_more,
}
_TAKEN: Final[dict[str, Callable[[JobDraft, OldTable, OldTable], set[str]]]] = {
    "keras": _keras,
    "huggingface": _huggingface,
    "backend_api": _backend,
    "local_files": _local,
    "local": _local,
}
