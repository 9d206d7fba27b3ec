"""One attempt at a trial: its training in a thread, delivered report by report.

A training runs from its first epoch to its last; Ray Tune wants to ask for the next report, and to
decide after each whether there is to be another. So the training has a thread of its own, in which
a callback hands over a report and waits there until the next one is asked for:

    attempt = Attempt(train)          # train(link) → the last message
    while not (message := attempt.next())["done"]:
        ...                           # the training waits at the end of an epoch
    attempt.stop()                    # or earlier: it stops at a checkpoint

Runs in the process of the trial.
"""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from qstore_ray.errors import BudgetReachedError, QStoreError, last_line
from qstore_ray.tune.trial.messages import EpochReport, FinalReport, Message


class Link:
    """The connection between a training and its caller, who asks for reports.

    Attributes:
        stopping: set when the training shall stop at a checkpoint.
    """

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._messages: queue.SimpleQueue[EpochReport | None] = queue.SimpleQueue()
        self._go = threading.Semaphore(0)

    def report(self, message: EpochReport) -> None:
        """Hand over a report and wait until the next one is asked for. The training's side."""
        self._messages.put(message)
        self._go.acquire()

    def go_on(self) -> None:
        """Let the training continue after a report."""
        self._go.release()

    def take(self) -> EpochReport | None:
        """Wait for a report; None when there will be no more."""
        return self._messages.get()  # gate: QS103 because `end` is called however it ends

    def end(self) -> None:
        """There will be no more reports."""
        self._messages.put(None)


class Attempt:
    """A training in a thread; `next` gives its reports one by one.

    Args:
        train: does it; returns the last message.
        trace: the file that the traceback of an unforeseen error is written to.
    """

    def __init__(self, train: Callable[[Link], FinalReport], trace: Path) -> None:
        self._train = train
        self._trace = trace
        self._link = Link()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="qstore_ray-trial")
        self._training: Future[FinalReport] | None = None

    def next(self) -> Message:
        """The next message: reports of epochs, and at the end the result or the failure."""
        if self._training is None:
            self._training = self._pool.submit(self._train, self._link)
            self._training.add_done_callback(lambda _: self._link.end())
        else:
            self._link.go_on()
        message = self._link.take()
        return message if message is not None else self._last(self._training)

    def stop(self) -> None:
        """Stop at a checkpoint, and wait until it is complete."""
        self._link.stopping.set()
        self._link.go_on()
        self._pool.shutdown()

    def _last(self, training: Future[FinalReport]) -> Message:
        error = training.exception()
        if error is None:
            return training.result()
        if isinstance(error, BudgetReachedError):
            return {"done": True, "limit": error.field, "reason": error.message}
        if not isinstance(error, QStoreError):
            self._trace.parent.mkdir(parents=True, exist_ok=True)
            self._trace.write_text("".join(traceback.format_exception(error)))
        return {"done": True, "failure": cause(error)}


def cause(error: BaseException) -> str:
    """An error in one line; failed trials are grouped by it."""
    if isinstance(error, QStoreError):
        return f"{type(error).__name__}: {error.message}"
    said = last_line(error)
    return f"{type(error).__name__}: {'no message' if said == type(error).__name__ else said}"
