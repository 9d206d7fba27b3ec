"""What a training takes on paid hardware: counted before anything is submitted.

The requests (`hardware_calls.py`) become jobs by the rules of the gateway. The numbers are exact,
unless the answers of the device decide how much a training asks for: then they are the most that it
may take, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING

from qstore_ray.backends import open_backend
from qstore_ray.backends.mitigation.backend import MitigatedBackend
from qstore_ray.backends.paid import RunIdentity, new_identity, of_run
from qstore_ray.errors import BudgetError, QStoreError, under
from qstore_ray.storage.address import storage_folder
from qstore_ray.train.hardware_calls import training_calls
from qstore_ray.train.run.chain import ChainPlace, place_of_run
from qstore_ray.train.run.run_folder import Existing
from qstore_ray.train.run.writing import read_run_record

if TYPE_CHECKING:
    from qstore_ray.backends.base import Backend
    from qstore_ray.backends.ibm.backend import IbmBackend
    from qstore_ray.backends.ibm.call import HardwareCall
    from qstore_ray.backends.ibm.forecast import HardwareCost
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.train.checks import Checked
    from qstore_ray.train.config import TrainerConfig
    from qstore_ray.train.hardware_calls import Calls


@dataclass(frozen=True)
class HardwareForecast:
    """What a training takes on a device.

    Attributes:
        device, mode: where, and how jobs are submitted.
        step: of one whole batch. training, validation: of all epochs. scoring: of the rows of val
            and test, after the last epoch. total: of all, at most.
        least: of all, if the training is neither ended early nor continued elsewhere.
        circuits: in the order of `training`, `validation`, `scoring`.
        at_most: why it may take less than `total`, which else is exact.
        over_budget: why the budget does not suffice; "" if it does.
    """

    device: str
    mode: str
    step: HardwareCost
    training: HardwareCost
    validation: HardwareCost
    scoring: HardwareCost
    total: HardwareCost
    least: HardwareCost
    circuits: tuple[int, int, int]
    at_most: tuple[str, ...]
    over_budget: str


def hardware_backend(trainer: TrainerConfig, backend: Backend | None = None) -> IbmBackend | None:
    """The backend whose jobs are paid for; None if the training needs none."""
    if backend is None and trainer.backend == "ibm":
        with under("trainer.backend_options"):
            backend = open_backend("ibm", trainer.options_of_backend())
    if isinstance(backend, MitigatedBackend):
        backend = backend.inner
    if backend is None or getattr(backend, "name", "") != "ibm":
        return None
    from qstore_ray.backends.ibm.backend import IbmBackend

    return backend if isinstance(backend, IbmBackend) else None


def hardware_forecast(
    trainer: TrainerConfig,
    job: Checked,
    dataset: Dataset,
    *,
    backend: Backend | None = None,
    confusion: bool = True,
) -> HardwareForecast | None:
    """What the training takes on a device; None if it is not on paid hardware. Opens no connection.

    Args:
        backend: where circuits run, in place of the one that `trainer` names.
        confusion: whether the figures of the run are drawn, which ask for the test rows once more.

    Raises:
        ConfigError: one row alone is above the caps of a job, money is limited and there is no
            price, or the client's time in a session is not given.
    """
    counted = _counted(trainer, job, dataset, backend=backend, confusion=confusion)
    return None if counted is None else counted[0]


def _counted(
    trainer: TrainerConfig,
    job: Checked,
    dataset: Dataset,
    *,
    backend: Backend | None,
    confusion: bool,
) -> tuple[HardwareForecast, tuple[HardwareCall, ...]] | None:
    """The forecast, and a call of each circuit that it counts."""
    paid = hardware_backend(trainer, backend)
    if paid is None:
        return None
    from qstore_ray.backends.ibm.forecast import forecast_jobs, jobs_for
    from qstore_ray.backends.ibm.gateway.recording import recording

    config = paid.config
    if backend is not None:  # another object, so that what it measures is not kept
        backend = of_run(backend, RunIdentity(""))

    def cost(calls: Calls) -> tuple[HardwareCost, int]:
        jobs = [each for call in calls for each in jobs_for(call, config.policy.caps)]
        circuits = sum(r.rows * r.circuits_per_row for call in calls for r in call)
        return forecast_jobs(jobs, config.rates), circuits

    with _with_fields_of_a_job(), recording() as gateway:
        calls = training_calls(trainer, job, dataset, gateway, backend=backend, confusion=confusion)
    with _with_fields_of_a_job():
        most = {kind: cost(each) for kind, each in calls.most.items()}
        fewest = {kind: cost(each) for kind, each in calls.fewest.items()}
        validated, scored = cost(calls.validation), cost(calls.scoring)
        first, first_validated = cost(calls.first_step), cost(calls.first_validation)
    later = calls.kinds - Counter([next(iter(calls.kinds))])
    training = sum((most[kind][0] * count for kind, count in later.items()), first[0])
    at_least = sum((fewest[kind][0] * count for kind, count in later.items()), first[0])
    validation = validated[0] * (trainer.epochs - 1) + first_validated[0]
    total, least = (each + validation + scored[0] for each in (training, at_least))
    over = ""
    try:
        with _with_fields_of_a_job():
            config.budget.check(least, trials={"": least})
    except BudgetError as exc:
        over = exc.message
    circuits = (
        sum(most[kind][1] * count for kind, count in later.items()) + first[1],
        validated[1] * (trainer.epochs - 1) + first_validated[1],
        scored[1],
    )
    found = HardwareForecast(
        config.device, config.rates.mode, most[max(most)][0], training, validation, scored[0],
        total, least, circuits, tuple(_why_less(trainer, is_exact=total == least)), over,
    )  # fmt: skip
    return found, tuple(gateway.circuits.values())


def _why_less(trainer: TrainerConfig, *, is_exact: bool) -> Iterator[str]:
    """Why the training may take less than it is forecast to take."""
    if not is_exact:
        yield f"the optimizer {trainer.optimizer!r} adapts its rows to what is measured"
    for table, callback in zip(trainer.callbacks, trainer.open_callbacks(), strict=True):
        if callback.ends_early:
            yield f"the callback {table['name']!r} may end the training earlier"
    if trainer.fallback:
        yield "another backend continues the training if the device fails"


def check_hardware_budget(
    trainer: TrainerConfig,
    job: Checked,
    dataset: Dataset,
    identity: RunIdentity,
    *,
    backend: Backend | None = None,
    confusion: bool = True,
) -> None:
    """Refuse a training whose forecast is above its budget, or above what the account has left.

    A training that may take more or less is refused only if the least is above. A circuit that the
    device cannot run is refused, too. Nothing is submitted. Does nothing for a training that is not
    on paid hardware.

    Raises:
        BudgetError: see `HardwareBudget.check`.
        CircuitError, ResourceError: the device cannot run a circuit.
        ConfigError, ServiceError, LedgerError: see `hardware_forecast`, and `IbmBackend.evaluate`.
    """
    counted = _counted(trainer, job, dataset, backend=backend, confusion=confusion)
    paid = hardware_backend(trainer, backend)
    if counted is not None and paid is not None:
        try:
            with _with_fields_of_a_job():
                paid.for_run(*identity).check_forecast(counted[0].least, counted[1])
        except QStoreError:
            paid.close_run(identity.run)
            raise


def identity_of_run(storage: str | Path, name: str, existing: Existing) -> RunIdentity:
    """The identity that a run is to have: its own if it is resumed, else a new one."""
    earlier: str | None = None
    if existing == "resume":
        earlier = read_run_record(storage_folder(storage) / name).get("id")
    return RunIdentity(earlier) if earlier else new_identity(name)


def place_at_start(
    trainer: TrainerConfig, storage: str | Path, name: str, existing: Existing
) -> ChainPlace:
    """The backend of the chain that a run begins or continues with.

    Raises:
        CheckpointError, RunExistsError: see `place_of_run`.
    """
    if existing != "resume":
        return ChainPlace(trainer)
    path = storage_folder(storage) / name
    generation = int(read_run_record(path)["generation"]) + 1
    return place_of_run(trainer, path, generation)


@contextmanager
def _with_fields_of_a_job() -> Iterator[None]:
    """Name the field of a job that an error of the backend is about."""
    from qstore_ray.backends.ibm.backend import IbmBackend

    try:
        yield
    except QStoreError as exc:
        first = exc.field.partition(".")[0]
        is_option = first in signature(IbmBackend).parameters
        if is_option or first == "backend_options":
            with under("trainer.backend_options" if is_option else "trainer"):
                raise
        raise
