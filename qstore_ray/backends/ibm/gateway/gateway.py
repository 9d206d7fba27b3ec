"""The gateway: the one place that submits jobs, for all workers and trials of a run.

    outcomes = gateway.evaluate(call)              blocks until they are measured

Any number of threads call `evaluate`; one thread does everything else: it packs calls into jobs
(`packing`), takes every job through its steps (`flight`), and hands the outcomes out. A call whose
outcomes are in the ledger is answered from there, also after a crash, and costs nothing.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from qstore_ray.backends.ibm.budget import HardwareBudget, Spending
from qstore_ray.backends.ibm.call import HardwareCall
from qstore_ray.backends.ibm.forecast import HardwareCost, QpuRates, by_trial, forecast_jobs
from qstore_ray.backends.ibm.gateway.billing import AccountLeft, PendingBills
from qstore_ray.backends.ibm.gateway.compiling import CallCompiler
from qstore_ray.backends.ibm.gateway.failed_job import (
    failed_job_error,
    may_be_of_all,
    may_be_of_one_owner,
    may_run_again,
)
from qstore_ray.backends.ibm.gateway.flight import Flight, bases_of, outcome_name
from qstore_ray.backends.ibm.gateway.polling import PollPace
from qstore_ray.backends.ibm.gateway.sessions import LeftSessions
from qstore_ray.backends.ibm.gateway.waiter import CallWaiter, WaitingCalls, trial_ended_error
from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.ledger.record import HardwareJob, JobState
from qstore_ray.backends.ibm.policy import GatewayPolicy
from qstore_ray.backends.ibm.queue.packing import Packer
from qstore_ray.backends.ibm.queue.shared_cap import SharedCap
from qstore_ray.backends.ibm.requests import CircuitRequest, PackedJob, alone, pieces
from qstore_ray.backends.ibm.service.client import IbmClient
from qstore_ray.backends.ibm.service.isa import Pub
from qstore_ray.deadline import join_patiently
from qstore_ray.errors import BackendError, BudgetReachedError, LedgerError, QStoreError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray


class Gateway:
    """Runs the calls of a run on one device; see the module.

    Args:
        client: of the device; used by the gateway's thread alone.
        ledger: of the run, which is closed with the gateway.
        policy: how to wait.
        rates, budget: the forecast of each job, and what may be spent.
        compiler: makes what is submitted. shared_cap: the cap of jobs in flight that it shares.
        account: what the account has left.
        clock: seconds.

    Attributes:
        budget: what may be spent; the next job is checked against it.
    """

    def __init__(
        self,
        client: IbmClient,
        ledger: Ledger,
        policy: GatewayPolicy,
        rates: QpuRates,
        budget: HardwareBudget,
        compiler: CallCompiler,
        shared_cap: SharedCap,
        account: AccountLeft,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._ledger, self._policy = client, ledger, policy
        self._rates, self.budget, self._compiler = rates, budget, compiler
        self._clock, self._used = clock, clock()
        self._packer = Packer(policy.caps, delay=policy.delay, run=ledger.owner.run)
        self._pace = PollPace(policy)
        self._flights: dict[str, Flight] = {}
        self._waiting = WaitingCalls()
        self._account = account
        self._bills = PendingBills(client, ledger, policy, clock)
        self._sessions = LeftSessions(client, ledger, policy, clock)
        self._changed = threading.Condition()
        self._cap_member = shared_cap.join(self._wake)
        self._arrived: list[CallWaiter] = []
        self._taken: list[CallWaiter] = []
        self._withdrawn: list[str] = []
        self._ended: set[str] = set()
        self._is_closing = False
        self._failure: BaseException | None = None
        self._not_closed: QStoreError | None = None
        self._thread = threading.Thread(target=self._run, name="qpu-gateway", daemon=True)
        self._thread.start()

    def evaluate(self, call: HardwareCall) -> list[AnyArray]:
        """The outcomes of a call: of each basis, packed bits (N, S, bytes). Blocks.

        Raises:
            ConfigError, CircuitError, ResourceError: a call that cannot be run.
            BudgetReachedError: the next job would pass a limit.
            BackendError: a job failed as often as it may, or the gateway was closed.
            InterruptedRunError: the trial was withdrawn.
            ServiceError, LedgerError: the service is out of reach; a step cannot be recorded.
        """
        return self.evaluate_all([call])[0]

    def evaluate_all(self, calls: Sequence[HardwareCall]) -> list[list[AnyArray]]:
        """The outcomes of several calls that are queued at the same time; see `evaluate`."""
        caps, now = self._policy.caps, self._clock()
        waiters = [CallWaiter(c, {p.key: p for p in pieces(c.request, caps)}, now) for c in calls]
        with self._changed:
            self._check_alive()
            self._arrived += waiters
            self._used = self._clock()
            self._changed.notify()
        for waiter in waiters:
            waiter.until_done()
        return [waiter.answer() for waiter in waiters]

    def withdraw(self, trial: str) -> None:
        """Drop what a trial waits for: it has ended. Its calls, also later ones, are refused."""
        with self._changed:
            self._withdrawn.append(trial)
            self._changed.notify_all()

    def check_forecast(self, forecast: HardwareCost, trial: str, budget: HardwareBudget) -> None:
        """Take a budget, of a run that is continued for example, and refuse a forecast above it.

        What the ledger has of it is not needed again. Raises BudgetError.
        """
        left, spending = self._account.known, self.spending()
        needed = forecast.less(spending.answered_of.get(trial, HardwareCost()))
        budget.check(needed, trials={trial: needed}, spending=spending, account_seconds=left)
        self.budget = budget

    def check_circuits(self, calls: Sequence[HardwareCall]) -> None:
        """Compile the circuits of these calls. Raises CircuitError, ResourceError, ConfigError."""
        self._compiler.check(calls, self._rates.circuit_seconds)

    def spending(self) -> Spending:
        """What the run's jobs cost so far; what has just ended is asked for before."""
        if self.is_alive:
            self._bills.wait()
        return Spending.of(tuple(self._ledger.records.values()))

    @property
    def is_alive(self) -> bool:
        """Whether it can be called."""
        return self._failure is None and not self._is_closing

    @property
    def idle_seconds(self) -> float:
        """For how long nobody has called; 0 while a call waits or a job is in flight."""
        busy = self._waiting or self._flights or self._arrived
        return 0.0 if busy else self._clock() - self._used

    def close(self) -> None:
        """Stop: nothing more is submitted; jobs at the service are run, and found later.

        Raises:
            ServiceError: the session could not be closed; all else was.
        """
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        join_patiently(self._thread, "IBM's service, to close the gateway")
        if self._not_closed is not None:
            raise self._not_closed

    # What follows runs in the gateway's thread.

    def _run(self) -> None:
        try:
            self._resume()
            while self._turn():
                pass
            error: BaseException = BackendError("the gateway was closed", field="backend")
        except BaseException as exc:  # gate: QS104 because every caller raises it
            error = exc
        with self._changed:
            self._failure = error
            waiters = [*self._arrived, *self._taken, *self._waiting]
        for waiter in waiters:
            waiter.fail(error)
        self._cap_member.leave()
        try:
            with ExitStack() as closing:
                closing.callback(self._ledger.close)
                if isinstance(error, LedgerError):
                    self._client.close()
                else:
                    closing.callback(self._sessions.last)
                    self._bills.last()
        except QStoreError as exc:
            self._not_closed = exc

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def _check_alive(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._is_closing:
            raise BackendError("the gateway was closed", field="backend")

    def _resume(self) -> None:
        """Take up the jobs that an earlier process left open."""
        for key, record in tuple(self._ledger.records.items()):
            if record.is_open or record.open_duplicates:
                self._flights[key] = self._flight(key, None)
        self._bills.take_up()

    def _turn(self) -> bool:
        """Wait for something to do, and do it; False if the gateway is to close."""
        with self._changed:
            while not (self._arrived or self._withdrawn or self._is_closing):
                pause = self._next_time() - self._clock()
                if pause <= 0.0:
                    break
                self._changed.wait(None if pause == float("inf") else pause)
            if self._is_closing:
                return False
            arrived, self._arrived = self._arrived, []
            withdrawn, self._withdrawn = self._withdrawn, []
            self._taken = arrived
        for waiter in arrived:
            self._take(waiter)
        for trial in withdrawn:
            self._drop(trial)
        cap = self._policy.caps.in_flight
        for job in self._cap_member.fill(cap, lambda busy: self._packer.take(self._clock(), busy)):
            self._start(job)
        # One step of one job: then calls that arrived meanwhile are packed.
        key = min(self._flights, key=lambda key: self._flights[key].wake, default=None)
        if key is not None and self._flights[key].wake <= self._clock():
            self._advance(key, self._flights[key])
        elif not self._sessions.advance():
            self._bills.advance()
        self._cap_member.set(len(self._flights), wants_more=self._packer.is_ready)
        return True

    def _next_time(self) -> float:
        times = [self._bills.next_time(), self._sessions.next_time()]
        times += [flight.wake for flight in self._flights.values()]
        if self._cap_member.has_room(self._policy.caps.in_flight):
            if self._packer.is_ready:  # a job has ended, and makes room for the next one
                return self._clock()
            ready = self._packer.next_time()
            times += [] if ready is None else [ready]
        return min(times)

    def _take(self, waiter: CallWaiter) -> None:
        """Answer a call from the ledger, join it to a job that runs, or queue it."""
        if waiter.call.request.trial in self._ended:
            waiter.fail(trial_ended_error(waiter.call.request.trial))
            return
        missing = []
        for key, piece in waiter.pieces.items():
            is_queued = key in self._waiting
            self._waiting.add(key, waiter)
            record = self._ledger.job_of(key)
            if record is None:
                missing += [] if is_queued else [piece]
            elif record.state is JobState.FINISHED:
                self._deliver(record.key)
            elif record.key not in self._flights:  # the service was silent for too long
                self._flights[record.key] = self._flight(record.key, None)
        try:
            self._queue(waiter, missing)
        except QStoreError as exc:
            self._waiting.forget(waiter)
            waiter.fail(exc)

    def _queue(self, waiter: CallWaiter, missing: list[CircuitRequest]) -> None:
        request, arrival = waiter.call.request, waiter.arrival
        if len(missing) < len(waiter.pieces):
            self._packer.answered(request)
        if not missing:
            return
        self._compiler.pubs(waiter.call, request)  # what the device cannot run is refused now
        if len(missing) == len(waiter.pieces):
            rides = request.rides and self._packer.has_company(request)
            waits = rides or request.parts > 1
            deadline = arrival + self._policy.group_wait if waits else float("inf")
            self._packer.add(replace(request, arrival=arrival, deadline=deadline, rides=rides))
            return
        for piece in missing:  # of a call that was interrupted: its group is not complete again
            self._packer.add(replace(alone(piece), arrival=arrival))

    def _drop(self, trial: str) -> None:
        """Forget what a trial waits for, and cancel jobs that are its own alone."""
        self._ended.add(trial)
        error = trial_ended_error(trial)
        self._packer.withdraw(trial)
        for waiter in self._waiting:
            if waiter.call.request.trial == trial:
                self._waiting.forget(waiter)
                waiter.fail(error)
        for flight in tuple(self._flights.values()):
            if {share.trial for share in flight.record.requests} == {trial}:
                flight.cancel_once_found("its trial has ended", self._clock())

    def _start(self, job: PackedJob) -> None:
        """Check the budget, record the intent, and let the job begin."""
        wanted = tuple(request for request in job.requests if request.key in self._waiting)
        if wanted != job.requests:  # the call of a piece has failed with another piece
            self._packer.separate.ended(job.key)
            if not wanted:
                return
            job = PackedJob(wanted)
        cost = forecast_jobs([job], self._rates)
        self._bills.settle()
        left = self._account.seconds()
        try:
            self.budget.check_next(by_trial(job, cost), self.spending(), account_seconds=left)
        except BudgetReachedError as exc:
            self._packer.separate.ended(job.key)
            for request in job.requests:
                if exc.value in {None, request.trial}:
                    self._waiting.fail(request.key, exc)
                else:
                    self._packer.add(alone(request))
            return
        self._ledger.intent(job, cost, price_per_second=self._rates.price_per_second)
        calls = [(self._waiting.call(request.key), request) for request in job.requests]

        def pubs() -> list[Pub]:
            return [pub for call, request in calls for pub in self._compiler.pubs(call, request)]

        self._flights[job.key] = self._flight(job.key, pubs)

    def _flight(self, key: str, pubs: Callable[[], list[Pub]] | None) -> Flight:
        options = json.loads(self._ledger.records[key].options)
        now, pace = self._clock(), self._pace
        return Flight(
            key, self._client, self._ledger, self._policy, self._bills, pubs, options, now, pace
        )

    def _advance(self, key: str, flight: Flight) -> None:
        try:
            if not flight.advance(self._clock()):
                return
        except LedgerError:
            raise
        except QStoreError as exc:
            del self._flights[key]
            self._fail(flight.record, exc)
            return
        del self._flights[key]
        record = flight.record
        if record.state is JobState.FINISHED:
            self._packer.separate.ended(key)
            trials = {share.trial for share in record.requests}
            self._packer.expect(trials, flight.began, self._clock())
            self._deliver(key)
        elif may_run_again(record, self._policy) and not self._packer.separate.is_last_try(key):
            self._packer.separate.ended(key)
            for request in self._wanted(record):
                self._packer.add(request)
        else:
            self._fail(record, failed_job_error(record))

    def _wanted(self, record: HardwareJob) -> tuple[CircuitRequest, ...]:
        """The requests of a job that has ended without outcomes for which somebody waits."""
        found = [self._waiting.piece(share.key) for share in record.requests]
        now = self._clock()
        return tuple(replace(alone(each), arrival=now) for each in found if each is not None)

    def _fail(self, record: HardwareJob, error: QStoreError) -> None:
        """Give the owners of a job an error, or a job of their own; see `SeparateJobs`."""
        given_up = self._packer.separate.ended(record.key, has_failed=True)
        if may_be_of_one_owner(record, error):
            self._packer.separate.split(self._wanted(record), one_by_one=may_be_of_all(error))
            return
        for key in (*(share.key for share in record.requests), *given_up):
            self._waiting.fail(key, error)

    def _deliver(self, key: str) -> None:
        """Hand the outcomes of a finished job to those who wait for them."""
        record = self._ledger.records[key]
        shares = [share for share in record.requests if share.key in self._waiting]
        if not shares:
            return
        try:
            arrays = self._ledger.result(key).arrays
        except LedgerError as exc:
            self._ledger.result_lost(key, exc.message)
            self._flights[key] = self._flight(key, None)
            return
        for share in shares:
            names = [outcome_name(share.key, each) for each in range(bases_of(share, record))]
            found = [arrays[name] for name in names]
            self._waiting.deliver(share.key, found)
