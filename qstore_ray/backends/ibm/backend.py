"""The IBM backend: expectation values from a quantum computer, through the gateway."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from qstore_ray.backends.base import Bindings, Estimates
from qstore_ray.backends.check_bindings import check_bindings
from qstore_ray.backends.counts import Counts
from qstore_ray.backends.device_circuit import AS_IT_IS, DeviceCircuit
from qstore_ray.backends.grouping import checked_shots, group_observables, key_of_shots
from qstore_ray.backends.ibm.call import (
    HardwareCall,
    as_one_job,
    counts_of_call,
    estimates_of_call,
    hardware_call,
)
from qstore_ray.backends.ibm.config import AskedValues, GatewayConfig, Where
from qstore_ray.backends.ibm.forecast import HardwareCost, forecast_jobs, jobs_for
from qstore_ray.backends.ibm.gateway.access import OpenGateway, gateway_for, gateways_of
from qstore_ray.backends.ibm.gateway.recording import (
    GatheredCalls,
    RecordingGateway,
    active_gathering,
    active_recording,
    answering,
    gathering,
    recording,
)
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.paid import PaidUsage, RunIdentity
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template
from qstore_ray.errors import CircuitError, ConfigError

if TYPE_CHECKING:
    from qstore_ray.types import ReadOnlyTable, Table

T = TypeVar("T")
_PARTS = re.compile(r"^(budget\.run|budget\.trial|rates\.|sign_in\.)")
_NAMES = {"budget.run": "budget", "budget.trial": "trial_budget"}
"""Parts of a `GatewayConfig` that are options of the backend under another name."""


class IbmBackend:
    """⟨O⟩ from shots on a device of IBM Quantum.

    An evaluation is a request to the gateway of the run: the requests of all workers and trials go
    into few jobs, each is recorded before it is submitted, and one that was measured is not
    measured again. The object holds no credentials and can be pickled.

    Args:
        device: name of the backend, for example "ibm_fez".
        shots: of each row and measured basis.
        account, token_file, instance, channel, url: see `IbmAccount`.
        mode: `job`, `batch` or `session`; see IBM's execution modes.
        max_time: seconds after which a batch or session, or in mode `job` each job, is ended.
        budget: the most that the run may use: `seconds`, `money`, `executions`, `jobs`.
        trial_budget: the most that each trial of a search may use.
        rep_delay, circuit_seconds, client_seconds, price_per_second: of the forecast, see
            `QpuRates`.
        sampler: options of IBM's client-side Sampler, such as
            {"dynamical_decoupling": {"enable": true}}.
        estimator: options of IBM's client-side Estimator, which then computes the values in place
            of the Sampler's outcomes, such as {"resilience_level": 1}; its shots are `shots`.
        seed, level: of the transpiler.
        where: `process`: the gateway runs in this process; `ray`: in an actor; `auto`: in an actor
            if Ray runs.
        ledger: folder of the ledgers on the gateway's node.
        policy: how the gateway waits, see `GatewayPolicy`.

    Raises:
        ConfigError: a value out of range.
    """

    name = "ibm"
    samples = True
    draws = True
    default_gradient = "spsa"
    incidental = frozenset({
        "account", "token_file", "instance", "channel", "url", "mode", "max_time", "budget",
        "trial_budget", "rep_delay", "circuit_seconds", "client_seconds", "price_per_second",
        "where", "ledger", "policy",
    })  # fmt: skip
    """Options that decide no result: a run may be continued with others."""

    def __init__(
        self,
        device: str,
        shots: int = 1024,
        account: str | None = None,
        token_file: str | None = None,
        instance: str | None = None,
        channel: str | None = None,
        url: str | None = None,
        mode: str = "job",
        max_time: int | None = None,
        budget: ReadOnlyTable | None = None,
        trial_budget: ReadOnlyTable | None = None,
        rep_delay: float = 250e-6,
        circuit_seconds: float = 100e-6,
        client_seconds: float | None = None,
        price_per_second: float | None = None,
        sampler: ReadOnlyTable | None = None,
        estimator: ReadOnlyTable | None = None,
        seed: int = 0,
        level: int = 3,
        where: Where = "auto",
        ledger: str | None = None,
        policy: ReadOnlyTable | None = None,
    ) -> None:
        self.shots = checked_shots(shots)
        with _with_names_of_options():
            asked = AskedValues(
                sampler={} if sampler is None else sampler, estimator=estimator, where=where
            )
        self.sampler: Table = dict(asked.sampler)
        self.estimator: Table | None = asked.estimator
        if sampler and estimator is not None:
            raise ConfigError(
                "values come from IBM's Sampler or from its Estimator, not from both",
                field="estimator",
                value=self.estimator,
                fix="Leave sampler or estimator out.",
            )
        self.where: Where = where
        self.identity = RunIdentity("")
        self._checked_shots: set[int] = set()
        self.compiled = AS_IT_IS
        with _with_names_of_options():
            self.config = GatewayConfig.from_dict({
                "device": device,
                "sign_in": {
                    "account": account, "token_file": token_file, "instance": instance,
                    "channel": channel, "url": url,
                },
                "ledger": ledger,
                "rates": {
                    "mode": mode, "rep_delay": rep_delay, "circuit_seconds": circuit_seconds,
                    "client_seconds": client_seconds, "price_per_second": price_per_second,
                },
                "budget": {
                    "run": {} if budget is None else budget,
                    "trial": {} if trial_budget is None else trial_budget,
                },
                "policy": {} if policy is None else policy,
                "max_time": max_time,
                "seed": seed,
                "level": level,
            })  # fmt: skip

    @property
    def device(self) -> str:
        """Name of the backend."""
        return self.config.device

    def __repr__(self) -> str:
        return f"IbmBackend(device={self.device!r}, shots={self.shots})"

    @property
    def mitigates(self) -> bool:
        """Whether the values are mitigated already, by IBM's Estimator."""
        return self.estimator is not None

    def description(self) -> Table:
        """What decides the values: device, shots, primitive, transpiler; see `DescribedBackend`."""
        config = self.config
        return {
            "device": config.device, "shots": self.shots, "sampler": self.sampler,
            "estimator": self.estimator, "seed": config.seed, "level": config.level,
        }  # fmt: skip

    def for_run(self, run: str, trial: str = "", part: str = "", weight: float = 1.0) -> IbmBackend:
        """The backend for the evaluations of a run, or of a trial of a search.

        Its jobs are in the run's ledger and within its budget; see `RunIdentity`.
        """
        made = object.__new__(IbmBackend)
        made.__dict__.update(vars(self))
        made.config = self.config.model_copy(update={"run": run})
        made.identity = RunIdentity(run, trial or run, part, weight)
        return made

    def for_call(self, run: str) -> IbmBackend:
        """The backend for a call that belongs to no run; see `PaidBackend`."""
        made = self.for_run(run)
        made.config = made.config.model_copy(update={"waits": True})
        return made

    @staticmethod
    def withdraw(run: str, trial: str) -> None:
        """Drop what a trial waits for, and cancel jobs that are its own alone.

        Raises:
            BackendError: a gateway does not answer.
        """
        for gateway in gateways_of(run):
            gateway.withdraw(trial)

    @staticmethod
    def usage_of(run: str) -> dict[str, PaidUsage]:
        """Trial → what it has used, and "" → the run; empty if no gateway of the run is open.

        Raises:
            BackendError: a gateway does not answer.
        """
        found: dict[str, PaidUsage] = {}
        for spent in [gateway.spending() for gateway in gateways_of(run)]:
            costs = {"": (spent.total, spent.pending_seconds)}
            costs |= {t: (cost, spent.pending_of[t]) for t, cost in spent.trials.items() if t}
            for name, (cost, pending) in costs.items():
                used = PaidUsage(
                    cost.jobs, cost.executions, cost.billed_seconds, pending, cost.money
                )
                found[name] = found.get(name, PaidUsage()) + used
        return found

    @staticmethod
    def close_run(run: str) -> None:
        """Close the gateways of a run: its sessions end, its jobs at the service are run.

        Raises:
            BackendError: a gateway does not answer.
        """
        with ExitStack() as closing:  # all of them, also after one that cannot be closed
            for gateway in gateways_of(run):
                closing.callback(gateway.close)

    def check_forecast(self, forecast: HardwareCost, circuits: Sequence[HardwareCall] = ()) -> None:
        """Refuse a run whose forecast is above its budget, or above what the account has left.

        The gateway signs in; nothing is submitted.

        Args:
            circuits: calls whose circuits are refused if the device cannot run them.

        Raises:
            BudgetError: see `HardwareBudget.check`.
            ConfigError, ServiceError, LedgerError: see `evaluate`.
        """
        gateway = gateway_for(self.config, self.where)
        gateway.check_circuits(circuits)
        gateway.check_forecast(forecast, self.identity.trial, self.config.budget)

    def check_work(self, work: Callable[[], object]) -> None:
        """Refuse evaluations whose forecast is above the budget; see `check_forecast`.

        Args:
            work: makes them; their values are blank, nothing is submitted.
        """
        with recording() as gateway:
            work()
        seen: set[str] = set()
        jobs = []
        for turn in gateway.take_turns():  # what was measured already is not measured again
            fresh = [request for request in turn if request.key not in seen]
            seen |= {request.key for request in fresh}
            jobs += jobs_for(fresh, self.config.policy.caps)
        cost = forecast_jobs(jobs, self.config.rates)
        self.check_forecast(cost, tuple(gateway.circuits.values()))

    def check(
        self, template: Template, observables: Sequence[Observable], bindings: Bindings
    ) -> None:
        """See `Backend.check`; nothing is submitted. CircuitError for a circuit with amplitudes."""
        check_bindings(template, observables, bindings)
        self._check_options(self.shots)
        if template.initial != "zeros":
            raise CircuitError(
                "a quantum computer cannot start from amplitudes",
                field="initial",
                value=template.initial,
                fix="Take an encoding by gates, such as angle.",
            )

    def evaluate(
        self,
        template: Template,
        observables: Sequence[Observable],
        bindings: Bindings,
        *,
        shots: int | None = None,
        key: DrawKey | None = None,
    ) -> Estimates:
        """Values (N, O) and their variances from shots; see `Backend.evaluate`. Blocks.

        Raises:
            CircuitError, ConfigError, ResourceError: what cannot be run on the device.
            BudgetReachedError: the next job would pass the budget.
            BackendError, ServiceError: a job failed too often, the service is out of reach.
        """
        if self.estimator is None:
            return self.counts(template, observables, bindings, shots=shots, key=key).estimates()
        from qstore_ray.backends.ibm.service.estimator import plan_of

        self.check(template, observables, bindings)
        shots = self.shots if shots is None else checked_shots(shots)
        grouping = group_observables(tuple(observables))
        if not grouping.bases or not len(bindings):  # nothing to measure
            values = np.tile(grouping.constants, (len(bindings), 1))
            return Estimates(values, np.zeros(values.shape))
        call = hardware_call(
            template, observables, bindings, shots, key_of_shots(key), device=self.device,
            identity=self.identity, options=self.estimator, plan=plan_of(self.estimator, shots),
        )  # fmt: skip
        return estimates_of_call(call, self._gateway().evaluate(call))

    def counts(
        self,
        template: Template,
        observables: Sequence[Observable],
        bindings: Bindings,
        *,
        shots: int | None = None,
        key: DrawKey | None = None,
    ) -> Counts:
        """How often each outcome was read, of the shots of `evaluate`; see `CountingBackend`.

        Raises:
            ConfigError: IBM's Estimator gives values, not outcomes.
        """
        if self.estimator is not None:
            raise ConfigError(
                "what asks for outcomes cannot have them from IBM's Estimator, which gives values",
                field="estimator",
                value=self.estimator,
                fix="Take sampler instead of estimator.",
            )
        self.check(template, observables, bindings)
        shots = self.shots if shots is None else checked_shots(shots)
        self._check_options(shots)
        grouping, n_rows = group_observables(tuple(observables)), len(bindings)
        if not grouping.bases or not n_rows:  # nothing to measure
            nothing = tuple(() for _ in grouping.bases)
            return Counts(grouping.bases, nothing, grouping.constants, n_rows, shots)
        call = hardware_call(
            template, observables, bindings, shots, key_of_shots(key), device=self.device,
            identity=self.identity, options=self.sampler, compiled=self.compiled,
        )  # fmt: skip
        return counts_of_call(call, self._gateway().evaluate(call))

    def _gateway(self) -> OpenGateway | RecordingGateway | GatheredCalls:
        return active_gathering() or self._asked()

    def _asked(self) -> OpenGateway | RecordingGateway:
        return active_recording() or gateway_for(self.config, self.where)

    def _check_options(self, shots: int) -> None:
        """Refuse options that IBM's client does not take; it is imported if there are any."""
        if shots in self._checked_shots:
            return
        from qstore_ray.backends.ibm.service import options

        if self.estimator is not None:
            from qstore_ray.backends.ibm.service.estimator_options import check_estimator_options

            check_estimator_options(self.estimator)
        else:
            options.check_sampler_options(self.sampler, shots)
        options.check_rep_delay(self.estimator or self.sampler, self.config.rates.rep_delay)
        if self.config.rates.mode == "job":
            options.check_max_time(self.config.max_time, self.estimator or self.sampler)
        self._checked_shots.add(shots)

    def compiled_as(self, circuit: DeviceCircuit) -> IbmBackend:
        """The backend that compiles its circuits in this way; see `CompilingBackend`."""
        made = object.__new__(IbmBackend)
        made.__dict__.update(vars(self), compiled=circuit)
        return made

    def together(self, work: Callable[[], T]) -> T:
        """What `work()` returns, with its evaluations in one job; see `device_circuit.together`."""
        if active_gathering() is not None:  # inside of another one
            return work()
        with gathering() as gathered:
            found = work()
        if not gathered.calls:
            return found
        calls = as_one_job(gathered.calls)
        outcomes = self._asked().evaluate_all(calls)
        keys = [call.request.key for call in calls]
        with answering(dict(zip(keys, outcomes, strict=True))):
            return work()


@contextmanager
def _with_names_of_options() -> Iterator[None]:
    """Name the option of the backend that an error of its configuration is about."""
    try:
        yield
    except ConfigError as exc:
        for fault in (exc, *exc.faults):
            fault.field = _PARTS.sub(lambda found: _NAMES.get(found[0], ""), fault.field)
        raise
