"""Reading TensorBoard's event files: their points, and the last text under each tag."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorboardX.proto.event_pb2 import Event


def read_events(path: Path) -> Iterator[Event]:
    """The events of one file, in order, up to the first record that is cut short or damaged.

    Raises:
        OSError: the file cannot be read.
    """
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    data, place = path.read_bytes(), 0
    while place + 12 <= len(data):
        length, check = struct.unpack_from("<QI", data, place)
        begin, end = place + 12, place + 12 + length
        if check != masked_crc32c(data[place : place + 8]) or end + 4 > len(data):
            return
        if struct.unpack_from("<I", data, end)[0] != masked_crc32c(data[begin:end]):
            return
        yield Event.FromString(data[begin:end])
        place = end + 4


def stored_events(folder: Path) -> tuple[set[tuple[str, int]], dict[str, tuple[int, str]]]:
    """Points and last texts of all event files of a folder."""
    points: set[tuple[str, int]] = set()
    texts: dict[str, tuple[int, str]] = {}
    for path in sorted(folder.glob("*.tfevents.*")):
        for event in read_events(path):
            for value in event.summary.value:
                if value.HasField("simple_value") or value.HasField("image"):
                    points.add((value.tag, event.step))
                elif value.metadata.plugin_data.plugin_name == "text":
                    tag, said = value.tag.removesuffix("/text_summary"), value.tensor.string_val[0]
                    if event.step >= texts.get(tag, (0, ""))[0]:
                        texts[tag] = (event.step, said.decode())
    return points, texts
