"""Runs in TensorBoard: curves, figures, and the configuration, in `<run_dir>/tensorboard/`.

TensorBoard reads event files, sequences of records of length, checksum, protocol buffer and
checksum. Each attempt reads the files of the earlier ones and then writes a new one without the
points (a tag at an epoch) that exist already. TensorBoard and this reader stop at the end of a file
that a crash truncated; the points behind it count as missing and are restored from the run's
metrics file.

The calling thread writes the events and syncs them to disk every epoch, so a full disk raises an
error here. Values are 32-bit floats; the metrics file has all digits. View the runs of a folder
with `tensorboard --logdir runs`.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qstore_ray.errors import RunError, not_installed_error
from qstore_ray.track.base import Record, RunInfo, Status
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.event_files import stored_events
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.track.logs.text import as_text, flatten, is_number, leaves, metrics_of, redact
from qstore_ray.types import ReadOnlyTable

if TYPE_CHECKING:
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.summary_pb2 import Summary

FOLDER: Final = "tensorboard"
_ATTEMPT: Final = ("generation", "workers", "rows", "parameters")
_HEADER: Final = struct.Struct(">16xIIxB")
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_CHANNELS: Final[Mapping[int, int]] = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
"""By the colour type of a PNG file: grey, RGB, a palette of RGB, grey and RGB with transparency."""
_LONGEST_TEXT: Final = 6000


class TensorBoardTracker:
    """Records one run as TensorBoard event files. Runs in the driver process, in its own thread.

    The HPARAMS page compares runs by their configuration and summary; the TEXT page has both as
    tables, with a line for every change. PNG artifacts become images and TOML artifacts texts;
    other artifacts stay in the run folder.

    Args:
        config: its tags are recorded with the run's own.

    Examples:
        tracker = TensorBoardTracker(TrackConfig(tags={"team": "botany"}))
        assert tracker.name == "tensorboard"
    """

    name = "tensorboard"

    def __init__(self, config: TrackConfig | None = None) -> None:
        self._config = config or TrackConfig()
        self._writer: EventsWriter | None = None

    def start(self, run: RunInfo) -> None:
        """Read the event files of earlier attempts, open a new one, write the configuration.

        Raises:
            MissingDependencyError: tensorboardX cannot be imported.
            RunError: the folder cannot be read or written.
        """
        _load()
        from tensorboardX.event_file_writer import EventsWriter

        self._run = run
        with self._translated("open the run"):
            self.close()
            folder = run.run_dir / FOLDER
            folder.mkdir(exist_ok=True)
            self._points, self._texts = stored_events(folder)
            count = sum(1 for _ in folder.iterdir())
            # The name ends in something of its own: the writer would overwrite a file of the
            # same second.
            suffix = f".{os.getpid()}.{count}"
            self._writer = EventsWriter(str(folder / "events"), filename_suffix=suffix)
            self._say("config", _table(flatten(redact(run.config), _LONGEST_TEXT)))
            self._describe("running")
            self._writer.flush()

    def epoch(self, record: Record) -> None:
        """Write every number of an epoch record, with the epoch as the step."""
        with self._translated("log an epoch"):
            self._log_points(int(record["epoch"]), metrics_of(record))
            self._open().flush()

    def finish(self, status: Status, summary: ReadOnlyTable, artifacts: Sequence[Path]) -> None:
        """Fill gaps from the metrics file; write summary, figures and how the run ended."""
        with self._translated("finish the run"):
            try:
                records = epoch_records(read_records(self._run.metrics_path))
                for record in records:
                    self._log_points(int(record["epoch"]), metrics_of(record))
                last = int(records[-1]["epoch"]) if records else 0
                results = list(leaves(redact(summary), "summary."))
                numbers = [(key, float(value)) for key, value in results if is_number(value)]
                self._log_points(last, numbers)
                texts = {key: as_text(value) for key, value in results if not is_number(value)}
                self._describe(status, texts)
                self._log_comparison(status, [key for key, _ in numbers])
                for path in artifacts:
                    self._log_file(path, last)
            finally:
                self.close()

    def close(self) -> None:
        """Close the event file; nothing is lost by calling it twice."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()

    def _open(self) -> EventsWriter:
        if self._writer is None:
            self.start(self._run)
        assert self._writer is not None
        return self._writer

    def _write(self, summary: Summary, step: int) -> None:
        from tensorboardX.proto.event_pb2 import Event

        # gate: QS206 because an event has its date
        self._open().write_event(Event(wall_time=time.time(), step=step, summary=summary))

    def _log_points(self, step: int, values: Iterable[tuple[str, float]]) -> None:
        from tensorboardX.proto.summary_pb2 import Summary

        self._open()
        fresh = [(tag, value) for tag, value in values if (tag, step) not in self._points]
        if fresh:
            points = [Summary.Value(tag=tag, simple_value=value) for tag, value in fresh]
            self._write(Summary(value=points), step)
            self._points |= {(tag, step) for tag, _ in fresh}

    def _say(self, tag: str, text: str) -> None:
        """Write a text unless it equals the last one under this tag."""
        from tensorboardX.summary import text as text_summary

        step, last = self._texts.get(tag, (-1, None))
        if text != last:
            self._write(text_summary(tag, text), step + 1)
            self._texts[tag] = (step + 1, text)

    def _describe(self, status: str, results: Mapping[str, str] | None = None) -> None:
        starts = [r for r in read_records(self._run.metrics_path) if r.get("event") == "start"]
        attempt = starts[-1] if starts else {}
        facts = {
            "status": status,
            "name": self._run.name,
            **{key: as_text(attempt[key]) for key in _ATTEMPT if key in attempt},
            **{f"fingerprint.{name}": value for name, value in self._run.fingerprints.items()},
            **redact(self._config.tags),
            **redact(self._run.tags),
            **(results or {}),
        }
        self._say("run", _table(facts))

    def _log_comparison(self, status: Status, metrics: Sequence[str]) -> None:
        """The run's line on the HPARAMS page; of several, TensorBoard takes the last."""
        from tensorboardX.proto.api_pb2 import Status as SessionStatus
        from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
        from tensorboardX.summary import hparams

        shown = {
            key: value if is_number(value) or isinstance(value, bool) else as_text(value)
            for key, value in leaves(redact(self._run.config))
        }
        *begin, end = hparams(shown, dict.fromkeys(metrics))
        kind = {"finished": "STATUS_SUCCESS", "failed": "STATUS_FAILURE"}
        ended = HParamsPluginData()
        ended.session_end_info.status = SessionStatus.Value(kind.get(status, "STATUS_UNKNOWN"))
        end.value[0].metadata.plugin_data.content = ended.SerializeToString()
        for summary in (*begin, end):
            self._write(summary, 0)

    def _log_file(self, path: Path, step: int) -> None:
        if path.is_dir():
            for inner in sorted(path.iterdir()):
                self._log_file(inner, step)
            return
        root, path = self._run.run_dir.resolve(), path.resolve(strict=True)
        name = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
        if path.suffix == ".png" and (name.as_posix(), step) not in self._points:
            self._log_image(name.as_posix(), path, step)
        elif path.suffix == ".toml":
            code = "\n".join(f"    {line}" for line in path.read_text("utf-8").splitlines())
            self._say(name.as_posix(), code)

    def _log_image(self, tag: str, path: Path, step: int) -> None:
        from tensorboardX.proto.summary_pb2 import Summary

        content = path.read_bytes()
        if not content.startswith(_PNG) or len(content) < _HEADER.size:
            raise OSError(f"{path.name} is not a PNG file")
        width, height, colour = _HEADER.unpack_from(content)
        image = Summary.Image(
            height=height,
            width=width,
            colorspace=_CHANNELS.get(colour, 3),
            encoded_image_string=content,
        )
        self._write(Summary(value=[Summary.Value(tag=tag, image=image)]), step)
        self._points.add((tag, step))

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            reason = exc.strerror or str(exc) or type(exc).__name__
            raise RunError(
                f"TensorBoard's event files: could not {doing}: {reason}",
                field="track.tensorboard",
                value=str(self._run.run_dir / FOLDER),
                fix="The run folder keeps all of it; sync_run('RUN') copies it later.",
            ) from exc


def _table(values: Mapping[str, str]) -> str:
    """Names and values as a Markdown table, which the TEXT page draws."""
    rows = [(key, value.replace("|", "\\|").replace("\n", " ")) for key, value in values.items()]
    return "\n".join(["| name | value |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in rows)])


def _load() -> None:
    try:
        import tensorboardX  # noqa: F401  (half a second, spent here)
    except ImportError as exc:
        raise not_installed_error(
            "tensorboardX", "tensorboard", what="the tracker", field="track.tensorboard"
        ) from exc
