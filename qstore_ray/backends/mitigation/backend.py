"""A backend whose values are mitigated: the techniques of a `MitigationConfig` around another one.

    backend = open_mitigated(
        "statevector", {"noise": {"readout": 0.02}}, MitigationConfig(readout="inverse")
    )

The circuit is placed first (compiled for a device, with the noise behind its gates), then folded,
then twirled, then measured with inverted readout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from qstore_ray.backends import described_backend, open_backend
from qstore_ray.backends.base import (
    Backend,
    Bindings,
    Estimates,
    Pullback,
    can_differentiate,
    can_sample,
)
from qstore_ray.backends.check_bindings import check_bindings
from qstore_ray.backends.device_circuit import compiles_itself, together
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.mitigation.calibration import ReadoutCalibration
from qstore_ray.backends.mitigation.config import MitigationConfig, MitigationCost
from qstore_ray.backends.mitigation.inverse_readout import InverseReadoutRunner
from qstore_ray.backends.mitigation.matrix_free import MatrixFreeRunner
from qstore_ray.backends.mitigation.placed_circuit import circuit_for_device, place_circuit
from qstore_ray.backends.mitigation.runner import CircuitRun, DirectRunner, Runner
from qstore_ray.backends.mitigation.twirling import TwirlRunner
from qstore_ray.backends.mitigation.zne import ZneRunner
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.backends.paid import PaidUsage, RunIdentity, can_belong_to_run, of_run
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.types import ReadOnlyTable, Table


T = TypeVar("T")


class MitigatedBackend:
    """The values of a backend, mitigated.

    Args:
        backend: that runs the circuits; its noise is its attribute `noise`, if it has one.
        config: the techniques.
        reopen: gives `backend` with another noise. Without it circuits run on `backend` itself:
            its noise then follows folded gates and the Pauli gates of twirls by their names.
        shots: of every evaluation that does not ask for another number.
        testing: use the backend that scores test rows.

    Raises:
        ConfigError: nothing to mitigate, or what a technique needs is missing.
    """

    def __init__(
        self,
        backend: Backend,
        config: MitigationConfig,
        reopen: Callable[[NoiseConfig], Backend] | None = None,
        *,
        shots: int | None = None,
        testing: bool = False,
    ) -> None:
        self.name = backend.name
        self.config = config
        self.noise: NoiseConfig | None = getattr(backend, "noise", None)
        if getattr(backend, "mitigates", False):
            raise ConfigError(
                "the values of IBM's Estimator are mitigated already",
                field="mitigation",
                value=config.to_dict(),
                fix="Leave mitigation out, or backend_options.estimator.",
            )
        self._backend, self._reopen, self._testing = backend, reopen, testing
        if shots is None and compiles_itself(backend):
            shots = getattr(backend, "shots", None)  # it always takes some
        self.shots = shots
        self._draws = bool(getattr(backend, "draws", False)) or config.twirl is not None
        is_random = self._draws or can_sample(backend)
        config.check_source(has_noise=self.noise is not None, shots=shots if is_random else None)
        if self.noise is not None and self.noise.device is not None and reopen is None:
            raise ConfigError(
                "a backend with the noise of a device has to be opened for each circuit",
                field="reopen",
                value=None,
                fix="Open it by open_mitigated(name, options, config).",
            )
        innermost = _readout_runner(config, DirectRunner(backend, reopen, testing=testing))
        self._calibration: ReadoutCalibration | None = getattr(innermost, "calibration", None)
        self._runner = _runner(config, innermost)

    def description(self) -> Table:
        """The techniques, and the backend inside; see `DescribedBackend`."""
        own: Table = {"mitigation": self.config.to_dict(), "shots": self.shots}
        return own | described_backend(self._backend)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._backend!r}, {self.config!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (self._backend, self.config, self._reopen, self.shots, self._testing)

    @property
    def draws(self) -> bool:
        """Whether its values are random: an evaluation then needs a key."""
        return self._draws

    @property
    def knows_its_noise(self) -> bool:
        """Whether its attribute `noise` says all of the noise, so that None is no noise at all."""
        return hasattr(self._backend, "noise")

    @property
    def inner(self) -> Backend:
        """The backend that runs the circuits."""
        return self._backend

    @property
    def default_gradient(self) -> str:
        """What `auto` is if there is no exact gradient."""
        return str(getattr(self._backend, "default_gradient", "parameter_shift"))

    @property
    def samples(self) -> bool:
        """Whether it takes shots."""
        return can_sample(self._backend)

    def for_testing(self) -> MitigatedBackend:
        """The one that scores validation and test rows."""
        return type(self)(self._backend, self.config, self._reopen, shots=self.shots, testing=True)

    def for_run(
        self, run: str, trial: str = "", part: str = "", weight: float = 1.0
    ) -> MitigatedBackend:
        """The one that evaluates for a run; see `PaidBackend`."""
        inner = of_run(self._backend, RunIdentity(run, trial, part, weight))
        return type(self)(inner, self.config, self._reopen, shots=self.shots, testing=self._testing)

    def for_call(self, run: str) -> MitigatedBackend:
        """The one that evaluates for a call; see `PaidBackend`."""
        given = self._backend
        inner = given.for_call(run) if can_belong_to_run(given) else given
        return type(self)(inner, self.config, self._reopen, shots=self.shots, testing=self._testing)

    @property
    def identity(self) -> RunIdentity:
        """For whom the backend inside evaluates."""
        found: RunIdentity = getattr(self._backend, "identity", RunIdentity(""))
        return found

    def check_work(self, work: Callable[[], object]) -> None:
        """Refuse evaluations whose forecast is above the budget of the backend inside."""
        if hasattr(self._backend, "check_work"):
            self._backend.check_work(work)

    def close_run(self, run: str) -> None:
        """Close what the backend inside has open for a run; see `PaidBackend`."""
        if can_belong_to_run(self._backend):
            self._backend.close_run(run)

    def usage_of(self, run: str) -> Mapping[str, PaidUsage]:
        """What the backend below has used; see `PaidBackend`."""
        return self._backend.usage_of(run) if can_belong_to_run(self._backend) else {}

    def withdraw(self, run: str, trial: str) -> None:
        """Drop what a trial waits for; see `PaidBackend`."""
        if can_belong_to_run(self._backend):
            self._backend.withdraw(run, trial)

    def cost(self) -> MitigationCost:
        """How many times the work of the backend alone."""
        return self._runner.cost()

    def check(
        self, template: Template, observables: Sequence[Observable], bindings: Bindings
    ) -> None:
        """Whether the circuit can be run and mitigated; see `Backend.check`."""
        self._backend.check(template, observables, bindings)
        self._runner.check(self._run(template, observables, bindings, None, None))

    def check_width(self, template: Template) -> None:
        """Raise `ResourceError` if the states of a circuit are too large, where that is known."""
        check = getattr(self._backend, "check_width", None)
        if check is not None:
            check(template)

    def evaluate(
        self,
        template: Template,
        observables: Sequence[Observable],
        bindings: Bindings,
        *,
        shots: int | None = None,
        key: DrawKey | None = None,
    ) -> Estimates:
        """Mitigated values (N, O), and their variances if the backend has any."""
        asked = self._run(template, observables, bindings, shots, key)
        return self.together(lambda: self._runner.run(asked))

    def together(self, work: Callable[[], T]) -> T:
        """What `work()` returns, with its evaluations in one job, if the backend has jobs."""
        calibration = self._calibration
        return together(self._backend, work if calibration is None else calibration.keeping(work))

    def _run(
        self,
        template: Template,
        observables: Sequence[Observable],
        bindings: Bindings,
        shots: int | None,
        key: DrawKey | None,
    ) -> CircuitRun:
        check_bindings(template, observables, bindings)
        if compiles_itself(self._backend):
            circuit = circuit_for_device(template)
        else:
            circuit = place_circuit(template, self.noise)
        shots = self.shots if shots is None else shots
        return CircuitRun(circuit, circuit.moved(observables), bindings, shots, key)


class DifferentiableMitigatedBackend(MitigatedBackend):
    """A mitigated backend with the exact gradients of its values."""

    def vjp(
        self,
        template: Template,
        observables: Sequence[Observable],
        bindings: Bindings,
        *,
        rows_gradient: bool = False,
        key: DrawKey | None = None,
    ) -> tuple[Estimates, Pullback]:
        """Mitigated values and their pullback; see `DifferentiableBackend.vjp`."""
        asked = self._run(template, observables, bindings, None, key)
        return self._runner.vjp(asked, rows_gradient=rows_gradient)


def mitigated(
    backend: Backend,
    config: MitigationConfig,
    reopen: Callable[[NoiseConfig], Backend] | None = None,
    *,
    shots: int | None = None,
) -> MitigatedBackend:
    """The mitigated backend, with `vjp` if the backend has it; see `MitigatedBackend`."""
    return _opened(backend, config, reopen, shots, False)


def open_mitigated(
    name: str, options: ReadOnlyTable, config: MitigationConfig, *, threads: int = 1
) -> MitigatedBackend:
    """The backend of that name with its options, mitigated.

    Raises:
        UnknownNameError: no such backend, or an option it does not have.
        ConfigError: nothing to mitigate, or what a technique needs is missing.

    Examples:
        noise = {"readout": 0.1}
        found = open_mitigated("aer", {"noise": noise}, MitigationConfig(readout="inverse"))
        assert found.cost().circuits == 1
    """
    backend = open_backend(name, options, threads=threads)
    reopen = partial(_with_noise, name, options, threads)
    shots: Any = options.get("shots")  # the backend has checked it
    return mitigated(backend, config, reopen, shots=shots)


def _with_noise(name: str, options: ReadOnlyTable, threads: int, noise: NoiseConfig) -> Backend:
    return open_backend(name, {**options, "noise": noise}, threads=threads)


def _opened(
    backend: Backend,
    config: MitigationConfig,
    reopen: Callable[[NoiseConfig], Backend] | None,
    shots: int | None,
    testing: bool,
) -> MitigatedBackend:
    exact = can_differentiate(backend) and shots is None and config.readout != "matrix_free"
    kind = DifferentiableMitigatedBackend if exact else MitigatedBackend
    return kind(backend, config, reopen, shots=shots, testing=testing)


def _readout_runner(config: MitigationConfig, direct: DirectRunner) -> Runner:
    if config.readout == "inverse":
        return InverseReadoutRunner(direct, config)
    if config.readout == "matrix_free":
        return MatrixFreeRunner(direct, config)
    return direct


def _runner(config: MitigationConfig, runner: Runner) -> Runner:
    if config.twirl is not None:
        runner = TwirlRunner(runner, config.twirl)
    return runner if config.zne is None else ZneRunner(runner, config.zne)
