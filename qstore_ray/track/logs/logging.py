"""What the program says while it works: lines on stderr, coloured for people, JSON for machines.

    configure_logging()
    log = get_logger(__name__)
    with logged_as(run="digits", worker=3):
        log.warning("a checkpoint was damaged", step=120)

A line is an event and fields. What `logged_as` binds (run, trial, worker, epoch) stands on each
line of the block, also on lines that our modules write through Python's own `logging`: both go the
same way. Nothing goes to stdout, which belongs to results, and below a warning nothing is said
unless it is asked for.

No secret is written: fields are judged by their names, texts are searched for what looks like one,
and the values of secret environment variables are hidden wherever they occur, in tracebacks too.
Tracebacks never show the values of variables.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO, TypeAlias

from qstore_ray.credentials import is_secret
from qstore_ray.errors import ConfigError
from qstore_ray.track.logs.text import redact, redact_message
from qstore_ray.wording import worded

if TYPE_CHECKING:
    import structlog
    from structlog.stdlib import ProcessorFormatter
    from structlog.typing import EventDict, Processor, WrappedLogger

Level: TypeAlias = Literal["debug", "info", "warning", "error"]

_ROOT: Final = "qstore_ray"
_LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_SHORTEST_SECRET: Final = 6
"""A shorter value of a secret variable would hide half of every text."""


def configure_logging(
    json: bool | None = None, *, level: Level = "warning", secrets: Iterable[str] = ()
) -> None:
    """Send this package's logs of `level` and above to stderr; a second call replaces the settings.

    Call it once in each process: the driver, and each worker. Other packages' loggers and the root
    logger are left as they are.

    Args:
        json: one JSON object a line; None means JSON unless stderr is a terminal.
        level: the lowest level that is logged; `warning` is quiet.
        secrets: texts to hide wherever they occur, beside those of the environment.

    Raises:
        ConfigError: unknown log level.

    Examples:
        configure_logging(json=True, level="warning")
    """
    if level not in _LEVELS:
        raise ConfigError(
            "unknown log level", field="level", value=level, fix=f"Take {', '.join(_LEVELS)}."
        )
    as_json = not sys.stderr.isatty() if json is None else json
    handler = _JsonLines(sys.stderr) if as_json else logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(as_json, _Redaction(secrets)))
    logger = logging.getLogger(_ROOT)
    for old in logger.handlers[:]:
        logger.removeHandler(old)
    logger.addHandler(handler)
    logger.setLevel(_LEVELS[level])
    logger.propagate = False
    if "structlog" in sys.modules:  # for loggers that exist already
        _configure()


def get_logger(name: str = _ROOT) -> structlog.stdlib.BoundLogger:
    """The logger of a module; give it `__name__`."""
    import structlog  # a quarter of a second, which a program that says nothing does not spend

    if any(isinstance(h.formatter, _Lines) for h in logging.getLogger(_ROOT).handlers):
        _configure()
    return structlog.stdlib.get_logger(name)


def announce(kind: Literal["warning", "note"], text: str) -> None:
    """Report to the user: a line `warning: …` on stderr, or a JSON line if logs are JSON."""
    if _reporters:
        _reporters[0](kind, text)
        return
    handlers = logging.getLogger(_ROOT).handlers
    if any(isinstance(handler, _JsonLines) for handler in handlers):
        get_logger().warning(worded(text), kind=kind)
        return
    with suppress(OSError):  # stderr is closed, so no report is possible
        sys.stderr.write(f"{kind}: {worded(text)}\n")


_reporters: list[Callable[[Literal["warning", "note"], str], None]] = []


def announce_by(report: Callable[[Literal["warning", "note"], str], None]) -> None:
    """Let `report` do what `announce` does, in a process that is not the one users look at."""
    _reporters[:] = [report]


@contextmanager
def logged_as(
    *,
    run: str | None = None,
    trial: str | None = None,
    worker: int | None = None,
    epoch: int | None = None,
) -> Iterator[None]:
    """Put these on every line that is logged in the block; what is None stays as it was bound.

    Bound in the calling thread and in tasks begun in it. A new thread or process starts without.
    """
    from structlog.contextvars import bound_contextvars

    given = {"run": run, "trial": trial, "worker": worker, "epoch": epoch}
    with bound_contextvars(**{key: value for key, value in given.items() if value is not None}):
        yield


def _configure() -> None:
    import structlog
    from structlog.stdlib import ProcessorFormatter

    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_first(),
            structlog.stdlib.PositionalArgumentsFormatter(),
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # a logger of a module follows a later call
    )


def _first() -> list[Processor]:
    import structlog

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


class _Lines(logging.Formatter):
    """Makes the lines, of our loggers and of Python's; imports structlog at the first one."""

    def __init__(self, as_json: bool, redaction: _Redaction) -> None:
        super().__init__()
        self._as_json, self._redaction = as_json, redaction

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, without secrets."""
        return self._formatter.format(record)

    @cached_property
    def _formatter(self) -> ProcessorFormatter:
        import structlog

        made = structlog.stdlib.ProcessorFormatter
        rendered = structlog.processors.JSONRenderer(sort_keys=True)
        last: list[Processor] = [
            made.remove_processors_meta,
            structlog.processors.format_exc_info,
            self._redaction,
            rendered if self._as_json else _console(),
        ]
        return made(foreign_pre_chain=[*_first(), structlog.stdlib.ExtraAdder()], processors=last)


class _JsonLines(logging.StreamHandler[TextIO]):
    """Writes JSON lines; its type says so to `announce`."""


class _Redaction:
    """The last step before a line becomes text: everything in it as plain values without secrets.

    Objects become their text here, since a renderer would ask for it only after the secrets were
    looked for.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        hidden = {value for name, value in os.environ.items() if is_secret(name)} | set(secrets)
        # The longest first: one secret may be a part of another.
        self._secrets = sorted(
            (value for value in hidden if len(value) >= _SHORTEST_SECRET), key=len, reverse=True
        )

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        return {key: self._hidden(redact(value, key)) for key, value in event.items()}

    def _hidden(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self._hidden(str(key)): self._hidden(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._hidden(item) for item in value]
        return redact_message(str(value), self._secrets)


def _console() -> structlog.dev.ConsoleRenderer:
    import structlog

    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
