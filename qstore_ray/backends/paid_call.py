"""Calls on a paid backend that belong to no run: predictions, scores, kernels.

    outputs = measured("predict-digits", backend, (theta, x), lambda b: outputs_of(model, x, b))

Such a call has a record of its own, named after what it is about: the same call after a kill finds
what was measured, and another one at the same time is not in its way. The same one in another
process waits for it, and pays nothing. A call is refused before its first job if its forecast is
above the budget, and what is open for it is closed when it ends.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from qstore_ray.backends.keys import KeyedBackend
from qstore_ray.backends.paid import PaidBackend, RunIdentity, can_belong_to_run, closing_run

if TYPE_CHECKING:
    from qstore_ray.backends.base import Backend
    from qstore_ray.types import AnyArray

T = TypeVar("T")
_callers: Counter[str] = Counter()
_lock = threading.Lock()


def measured(
    name: str, backend: Backend, about: Sequence[AnyArray], work: Callable[[Backend], T]
) -> T:
    """What `work` returns for the backend, with a record of its own if it is a paid one of no run.

    Args:
        name: the record's begins with it.
        about: arrays that decide what is measured: parameters and rows.
        work: may be called twice: for the forecast its values are blank.

    Raises:
        BudgetError: the forecast is above the budget; nothing was submitted.
        QStoreError: see `Backend.evaluate`.
    """
    with paid_call(name, backend, about) as bound:
        inner = bound.backend if isinstance(bound, KeyedBackend) else bound
        if bound is not backend and hasattr(inner, "check_work"):
            inner.check_work(lambda: work(bound))
        return work(bound)


@contextmanager
def paid_call(name: str, backend: Backend, about: Sequence[AnyArray]) -> Iterator[Backend]:
    """The backend with a record of its own, for the time of the block; see `measured`."""
    payer = _payer(backend)
    if payer is None:
        yield backend
        return
    run = f"{name}-{_digest(about)}"
    bound = payer.for_call(run)
    with _shared(run) as is_last, closing_run(bound.name, bound, run, unless=is_last):
        yield KeyedBackend(bound, backend.key) if isinstance(backend, KeyedBackend) else bound


def _payer(backend: Backend) -> PaidBackend | None:
    """The backend if it is a paid one that evaluates for no run yet."""
    inner = backend.backend if isinstance(backend, KeyedBackend) else backend
    if not can_belong_to_run(inner):
        return None
    return None if getattr(inner, "identity", RunIdentity("")).run else inner


def _digest(about: Sequence[AnyArray]) -> str:
    digest = hashlib.sha256()
    for each in about:
        array = np.ascontiguousarray(each)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


@contextmanager
def _shared(run: str) -> Iterator[Callable[[], bool]]:
    """Count the calls of this process with the same record; the last one closes it."""
    with _lock:
        _callers[run] += 1
    left = False

    def leave() -> bool:
        """Leave, once; whether others are still there."""
        nonlocal left
        with _lock:
            if not left:
                left = True
                _callers[run] -= 1
            return _callers[run] > 0

    try:
        yield leave
    finally:
        leave()
