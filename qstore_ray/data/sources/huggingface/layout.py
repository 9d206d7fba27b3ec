"""Which files of a repository hold which split, by the names that the hub gives them.

    data/train-00000-of-00002.parquet         the only config
    fashion_mnist/test-00000-of-00001.parquet   the config `fashion_mnist`
    train.parquet, data/train.parquet         one file a split
    default/train/0000.parquet                what the hub itself converts, in refs/convert/parquet

Nothing is guessed: several configs, a split of an unknown name, or a missing shard is an error that
lists what there is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from qstore_ray.data.sources.parts import part_of_name
from qstore_ray.errors import ConfigError, DataError

_SPLIT = r"(?P<split>[A-Za-z0-9_.]+)"
_PATTERNS = (
    re.compile(
        rf"(?:(?P<config>.+)/)?{_SPLIT}-(?P<number>\d{{5}})-of-(?P<count>\d{{5}})(?:-\w+)?\.parquet"
    ),
    re.compile(rf"(?P<config>.+)/{_SPLIT}/(?P<number>\d{{4,5}})\.parquet"),
    re.compile(rf"(?:(?P<config>.+)/)?{_SPLIT}\.parquet"),
)


def shards_by_split(
    files: Sequence[str], config: str | None, *, repository: str
) -> dict[str, tuple[str, ...]]:
    """Split of the hub to its Parquet files in order, for the one config that is asked for.

    Raises:
        ConfigError: no such config, or several and none is named.
        DataError: a shard is missing.
    """
    configs: dict[str, dict[str, list[tuple[str, int | None]]]] = {}
    for file in sorted(files):
        match = next((m for pattern in _PATTERNS if (m := pattern.fullmatch(file))), None)
        if match is not None:
            parts = match.groupdict()
            folder = parts.get("config") or "data"
            count = parts.get("count")
            shards = configs.setdefault(folder, {}).setdefault(parts["split"], [])
            shards.append((file, None if count is None else int(count)))
    name = _config(sorted(configs), config, repository)
    chosen: dict[str, tuple[str, ...]] = {}
    for split, found in configs[name].items():
        counts = {count for _, count in found}
        if counts != {None} and counts != {len(found)}:
            raise DataError(
                f"the split {split!r} has {len(found)} of its Parquet files, the names say "
                f"{sorted(str(count) for count in counts)}",
                field="params.path",
                value=repository,
                fix="The repository is incomplete; name another revision.",
            )
        chosen[split] = tuple(file for file, _ in found)
    return chosen


def parts_of(splits: Sequence[str], mapping: Mapping[str, str] | None) -> dict[str, str]:
    """Part (`train`, `val`, `test`, in this order) to the split of the hub that it is read from.

    Raises:
        ConfigError: a split that the mapping names is not there, or no split is train.
        DataError: a split of an unusual name, and no mapping.
    """
    listed = ", ".join(sorted(splits))
    example = "{" + ", ".join(f'"{split}" = "train"' for split in sorted(splits)[:1]) + "}"
    if mapping is None:
        usual = {split: part_of_name(split).part for split in splits}
        strange = sorted(split for split, part in usual.items() if part is None)
        if strange:
            raise DataError(
                f"the dataset has the splits {listed}, and nothing says what to do with {strange}",
                field="params.split_mapping",
                fix=f"Say which splits to use, for example split_mapping = {example}.",
            )
        mapping = {split: part for split, part in usual.items() if part is not None}
    missing = sorted(set(mapping) - set(splits))
    if missing:
        raise ConfigError(
            f"the dataset has no split {missing[0]!r}",
            field="params.split_mapping",
            value=dict(mapping),
            fix=f"Its splits: {listed}.",
        )
    homes = {part: split for split, part in mapping.items()}
    if len(homes) < len(mapping) or "train" not in homes:
        raise ConfigError(
            "exactly one split is train, and at most one is val and one is test",
            field="params.split_mapping",
            value=dict(mapping),
            fix=f"Say which splits to use, for example split_mapping = {example}.",
        )
    return {part: homes[part] for part in ("train", "val", "test") if part in homes}


def _config(there: list[str], asked: str | None, repository: str) -> str:
    if asked in there:
        return asked
    if asked is None and len(there) == 1:
        return there[0]
    raise ConfigError(
        f"{repository} has several configs"
        if asked is None
        else f"{repository} has no such config",
        field="params.config",
        value=asked,
        fix=f'Write config = "{there[0]}". Known: {", ".join(there)}.',
    )
