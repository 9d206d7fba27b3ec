"""Every error a user can meet, as one tree.

    QStoreError                  exit code 1
    ├── UsageError               exit code 2   what was asked for cannot be done as written
    │   ├── ConfigError                        a wrong value, an unknown key, a missing field
    │   │   └── UnknownNameError               a name that is in no registry
    │   ├── CircuitError                       a circuit, gate, qubit or observable we cannot run
    │   ├── ResourceError                      more than this machine or cluster has
    │   ├── BudgetError                        more than the budget, or the account, has left
    │   └── RunExistsError                     a finished or differing run stands in the way
    ├── DataError                exit code 3   empty, ragged, non-finite, one class, too few rows
    │   └── UnlabelledError                    rows without labels where labels are needed
    ├── BackendError             exit code 4   a backend that cannot answer
    │   ├── FailedJobError                     a job failed at a service as often as it may
    │   ├── LostClusterError                   the Ray that a run was on has ended
    │   ├── MissingDependencyError             a package that has to be installed first
    │   └── StorageError                       an object store that refuses, or is out of reach
    ├── ServiceError             exit code 4   a service that is out of reach, or fails
    │   ├── RefusedError                       it has decided: the same request is refused again
    │   └── TransientError                     it did not answer, or asks to come back later
    ├── RunError                 exit code 1   a run that started and failed
    │   ├── CheckpointError                    no readable checkpoint, or a stale writer
    │   ├── DivergenceError                    loss or gradient became NaN or infinite
    │   ├── CallbackError                      a callback raised
    │   ├── StudyError                         a study's storage is locked, damaged or out of reach
    │   ├── LedgerError                        a ledger of paid jobs is locked, damaged or another's
    │   └── WorkerError                        a worker process died more often than allowed
    │       └── RegroupError                   workers made place for another group of them
    └── InterruptedRunError      exit code 5   stopped on request; the run can be resumed
        └── BudgetReachedError                 the next paid job would pass the budget

An error has four attributes: `message` (what was wrong), `field` (where), `value` (the offending
value) and `fix` (what to do instead). They survive pickling, so an error raised in a Ray worker
reaches the driver with its fields.

An error about one row of a batch holds the row's position in the batch (`row`), and its message
contains `{row}` as a placeholder. Code that knows the source of the rows wraps the work on a batch
in `numbered`, which replaces the position by the row's number in the source.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any, ClassVar, Self, TypedDict

from qstore_ray.credentials import HIDDEN, is_secret, redact_text
from qstore_ray.wording import worded

_LONGEST_VALUE = 80


class ErrorFields(TypedDict):
    """The JSON-ready fields of an error; see `QStoreError`."""

    error: str
    message: str
    field: str
    value: str | None
    fix: str
    exit_code: int


class QStoreError(Exception):
    """Base class of every error that this package raises on purpose.

    Args:
        message: what was wrong, as one sentence; `{row}` in it stands for `row`.
        field: the configuration field or argument at fault, dotted (`trainer.batch_size`).
        value: the offending value; kept for programs, shown shortened.
        fix: what to type instead, in Python's words; see `wording`.
        row: place of the row at fault among the rows at hand, see `numbered`.

    Examples:
        error = QStoreError("too many", field="n_qubits", value=99, fix="Take 30 or fewer.")
        assert str(error) == "n_qubits: too many (got 99). Take 30 or fewer."
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        value: Any = None,
        fix: str = "",
        row: int | str | None = None,
    ) -> None:
        super().__init__(message)
        self._message = message
        self.field = field
        self.value = value
        self.fix = fix
        self.row = row

    @property
    def message(self) -> str:
        """What was wrong, as one sentence."""
        return self._message if self.row is None else self._message.replace("{row}", str(self.row))

    @message.setter
    def message(self, message: str) -> None:
        self._message = message

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        got = f" (got {self._got()})" if self.value is not None else ""
        fix = f" {self.fix}" if self.fix else ""
        return _shown(f"{where}{self.message}{got}.{fix}")

    def __reduce__(self) -> tuple[Any, ...]:
        # The dictionary adds the other attributes: `locked`, `row`, and notes.
        return _rebuild, (type(self), self._message, self.field, self.value, self.fix), vars(self)

    def _got(self) -> str:
        """The value, short, unless the field's name says that it is secret."""
        return shown_value(self.value, self.field)

    def as_dict(self) -> ErrorFields:
        """The error as JSON-ready fields (`--json` prints this)."""
        return {
            "error": type(self).__name__,
            "message": _shown(self.message),
            "field": self.field,
            "value": None if self.value is None else self._got(),
            "fix": _shown(self.fix),
            "exit_code": self.exit_code,
        }


class UsageError(QStoreError):
    """What was asked for cannot be done as written."""

    exit_code = 2


class ConfigError(UsageError, ValueError):
    """A configuration value is wrong. Also a ValueError, so that pydantic adds the path to it."""

    faults: tuple[ConfigError, ...] = ()
    """Every fault of a whole configuration, each with its own field and fix."""


class UnknownNameError(ConfigError):
    """A name that no registry knows."""


class CircuitError(UsageError):
    """A circuit, gate, qubit index or observable that cannot be run."""


class ResourceError(UsageError):
    """The request exceeds the available CPUs, workers or memory."""


class BudgetError(UsageError):
    """The forecast of a run on paid hardware is above its budget; nothing was submitted."""


class RunExistsError(UsageError):
    """A run of this name exists and may not be overwritten or continued as asked."""

    locked = False
    """True if another process has it open; waiting may then resolve the error."""

    @classmethod
    def while_open(cls, kind: str, name: str, holder: str = "") -> Self:
        """The error for a run or a study, as `kind` says, that another process has open.

        Args:
            holder: which process, if it is known.
        """
        error = cls(
            f"{holder or 'another process'} has this {kind} open",
            field="name",
            value=name,
            fix="Wait for it, stop it, or take another name.",
        )
        error.locked = True
        return error


class DataError(QStoreError):
    """The data cannot be used: empty, ragged, non-finite, one class, too few rows."""

    exit_code = 3


class UnlabelledError(DataError):
    """A file of rows without labels, such as the test set of a competition; `field` names it."""


class BackendError(QStoreError):
    """A backend cannot answer."""

    exit_code = 4


class FailedJobError(BackendError):
    """A job failed at a service as often as it may; the same run may succeed later."""


class LostClusterError(BackendError):
    """The Ray that a run was on has ended; the run can be resumed."""


class MissingDependencyError(BackendError):
    """A package that this feature needs is not installed, or two that exclude each other are."""


class StorageError(BackendError):
    """The object store of a run refuses, cannot be reached, or is another attempt's by now.

    Attributes:
        may_pass: the same call may succeed later.
    """

    may_pass = False


class ServiceError(QStoreError):
    """A service of data is out of reach, answers what it must not, or fails at what was asked."""

    exit_code = 4


class RefusedError(ServiceError):
    """A service refused a request, and will refuse the same one again.

    Attributes:
        status: HTTP status, or None if no request was made.
    """

    status: int | None = None


class TransientError(ServiceError):
    """A service did not answer, or asks to come back later; what was asked may have been done.

    Attributes:
        status: HTTP status, or None. is_full: nothing was done; the account has its most jobs.
    """

    status: int | None = None
    is_full: bool = False


class RunError(QStoreError):
    """A run started and failed."""


class CheckpointError(RunError):
    """No readable checkpoint, or a writer that is no longer the run's owner."""


class DivergenceError(RunError):
    """The loss or the gradient became NaN or infinite."""


class CallbackError(RunError):
    """A callback raised, and its policy is to end the run."""


class StudyError(RunError):
    """The storage of a study is locked by another process, damaged, or cannot be reached."""


class LedgerError(RunError):
    """A ledger of paid jobs is locked, damaged, of another run, or not used as it must be."""

    locked = False
    """True if another process has it open; waiting may then resolve the error."""


class WorkerError(RunError):
    """A worker process died, and died again, until the allowed number of failures was used up."""


class RegroupError(WorkerError):
    """Workers saved a checkpoint and ended; if field is `cluster.max_preemptions`, preempted."""


class InterruptedRunError(QStoreError):
    """The run stopped on request and can be resumed."""

    exit_code = 5


class BudgetReachedError(InterruptedRunError):
    """The next paid job would pass a limit of the budget, of the trial `value` if that has its own.
    A run is continued with a larger one.
    """


def unknown_name_error(
    kind: str, name: str, known: Iterable[str], *, field: str = "", meant: str = ""
) -> UnknownNameError:
    """The error for a name that is not among `known`, with the nearest one, or `meant`, as fix."""
    names = sorted(known)
    folded = {known.casefold(): known for known in names}
    near = [meant] if meant else difflib.get_close_matches(str(name), names, n=1)
    near = near or [folded[k] for k in difflib.get_close_matches(str(name).casefold(), folded, n=1)]
    hint = f"Did you mean {near[0]!r}? " if near else ""
    if near and unicodedata.normalize("NFC", near[0]) == unicodedata.normalize("NFC", str(name)):
        hint = f"{near[0]!r} is written in another Unicode form, {near[0]!a}; write it so. "
    listed = f"Known: {', '.join(names)}." if names else "No name is possible here: leave it out."
    return UnknownNameError(f"unknown {kind}", field=field, value=name, fix=f"{hint}{listed}")


def not_installed_error(package: str, extra: str, *, what: str, field: str = "") -> QStoreError:
    """Return the error for a missing package of an optional extra that `what` needs."""
    return MissingDependencyError(
        f"{what} needs {package}, which is not installed",
        field=field,
        value=package,
        fix=f"Run: pip install 'qstore-ray[{extra}]'",
    )


def first_line(error: BaseException | str) -> str:
    """The first non-empty line of another library's message, or the error's class name."""
    return _lines(error)[0]


def last_line(error: BaseException | str) -> str:
    """The last non-empty line, which after a traceback is the error itself; see `first_line`."""
    return _lines(error)[-1]


def _lines(error: BaseException | str) -> list[str]:
    found = [line.strip() for line in str(error).splitlines() if line.strip()]
    return found or [type(error).__name__ if isinstance(error, BaseException) else ""]


@contextmanager
def under(prefix: str) -> Iterator[None]:
    """Prepend `prefix.` to the field of any `QStoreError` raised inside, and of all its faults."""
    try:
        yield
    except QStoreError as exc:
        for fault in (exc, *(exc.faults if isinstance(exc, ConfigError) else ())):
            if fault.field and not f"{fault.field}.".startswith(f"{prefix.partition('.')[0]}."):
                fault.field = f"{prefix}.{fault.field}"
        raise


@contextmanager
def numbered(rows: Sequence[int] | Any | None) -> Iterator[None]:
    """Replace the batch position in an error's `row` by the row's number in the source.

    Args:
        rows: the numbers (B,) of the batch's rows; None leaves errors as they are.
    """
    try:
        yield
    except QStoreError as exc:
        if rows is not None and isinstance(exc.row, int):
            exc.row = int(rows[exc.row])
        raise


@contextmanager
def placed(where: Callable[[int], str] | None, column: str | None = None) -> Iterator[None]:
    """Give an error about a row of a file the file and line as its field.

    Args:
        where: file and line of the row with this number; None leaves errors as they are.
        column: the column that the work is about.
    """
    try:
        yield
    except QStoreError as exc:
        if where is not None and isinstance(exc.row, int):
            exc.field = where(exc.row) + ("" if column is None else f", column {column!r}")
        raise


def _rebuild(cls: type[QStoreError], message: str, field: str, value: Any, fix: str) -> QStoreError:
    return cls(message, field=field, value=value, fix=fix)


def _shown(text: str) -> str:
    """The text without logins, in the wording for the current interface."""
    return worded(redact_text(text))


def shown_value(value: Any, field: str = "") -> str:
    """A value as an error shows it: short, without logins, hidden if the field is a secret."""
    if is_secret(field.rpartition(".")[2]):
        return HIDDEN
    text = redact_text(repr(value))  # before it is cut, which may leave half of a login
    if len(text) <= _LONGEST_VALUE:
        return text
    if isinstance(value, str | PurePath) and "/" in text:  # the name at the end says most
        return text[: _LONGEST_VALUE // 3] + "…" + text[-2 * _LONGEST_VALUE // 3 + 1 :]
    return text[: _LONGEST_VALUE - 1] + "…"
