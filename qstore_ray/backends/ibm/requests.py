"""What a worker wants evaluated on hardware, the jobs it becomes, and the caps of a job.

A request asks for rows of one circuit: `rows` · `circuits_per_row` circuits (one for each measured
basis), each executed `shots` times. A request above the caps of a job is cut into pieces, which are
requests for some of its rows. A job holds requests with the same backend, shots and options.

    caps = JobCaps(executions=1_000)
    whole = CircuitRequest(key="k", backend="ibm_fez", trial="a", shots=100, rows=25)
    assert [piece.rows for piece in pieces(whole, caps)] == [9, 8, 8]
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from pydantic import Field

from qstore_ray.backends.ibm.keys import job_key, piece_key
from qstore_ray.config import Config
from qstore_ray.errors import ConfigError


class JobCaps(Config):
    """The limits of one job, and how many jobs may be in flight.

    Args:
        executions: circuits times shots of a job. IBM publishes ten million for its Sampler.
        payload_bytes: size of the submitted program. IBM publishes no number; older documentation
            has 64 MB.
        in_flight: jobs that are submitted and have not ended. IBM prepares five at a time for one
            backend; more would only wait there.
    """

    executions: int = Field(default=10_000_000, gt=0)
    payload_bytes: int = Field(default=50_000_000, gt=0)
    in_flight: int = Field(default=5, gt=0)


class JobSettings(NamedTuple):
    """What all requests of a job have in common; `options` is `keys.options_text`."""

    backend: str
    shots: int
    options: str


@dataclass(frozen=True, kw_only=True)
class CircuitRequest:
    """Rows of one circuit to be evaluated.

    Args:
        key: see `keys.request_key`; no two requests have the same.
        backend: name of the device.
        trial: the trial of a search, or the run itself: what is treated fairly.
        shots: executions of each circuit.
        options: see `keys.options_text`.
        rows: how many rows.
        circuits_per_row: circuits of one row: the bases that are measured.
        circuit_bytes: size of the circuit in the payload.
        row_bytes: size of the values of one row in the payload.
        calibration: executions that a job with such requests has once, for all of them.
        weight: share of the device that the trial gets, relative to the others.
        group: the workers' shares of one step have the same group and go into one job; "" for none.
        part, parts: which share of the group this is, and how many there are.
        deadline: when the group is sent although shares are missing; needed with several parts.
        arrival: when the request was made, by the same clock as the deadline, in seconds.
        first_row, source: of a piece, its first row in the request with the key `source`.
        rides: whether it leaves with the next job of its settings, at the latest at its deadline.

    Raises:
        ConfigError: a number that is out of range, or a group without a deadline.
    """

    key: str
    backend: str
    trial: str
    shots: int
    options: str = "{}"
    rows: int = 1
    circuits_per_row: int = 1
    circuit_bytes: int = 0
    row_bytes: int = 0
    calibration: int = 0
    weight: float = 1.0
    group: str = ""
    part: int = 0
    parts: int = 1
    deadline: float = math.inf
    arrival: float = 0.0
    first_row: int = 0
    source: str = ""
    rides: bool = False

    def __post_init__(self) -> None:
        for name in ("shots", "rows", "circuits_per_row"):
            if getattr(self, name) < 1:
                raise _number_error(name, getattr(self, name), "Take 1 or more.")
        for name in ("circuit_bytes", "row_bytes", "calibration"):
            if getattr(self, name) < 0:
                raise _number_error(name, getattr(self, name), "Take 0 or more.")
        if not 0.0 < self.weight < math.inf:
            raise _number_error("weight", self.weight, "Take a finite number above 0.")
        if not math.isfinite(self.arrival) or math.isnan(self.deadline):
            raise _number_error("arrival", self.arrival, "Give finite seconds of one clock.")
        if not 0 <= self.part < self.parts:
            raise _number_error("part", self.part, f"Number the parts from 0 to {self.parts - 1}.")
        if self.parts > 1 and (not self.group or self.deadline == math.inf):
            raise ConfigError(
                "a request with several parts needs a group and a deadline",
                field="deadline",
                value=self.deadline,
                fix="Say until when the missing parts are waited for.",
            )

    @property
    def settings(self) -> JobSettings:
        """What decides with which other requests it can be in a job."""
        return JobSettings(self.backend, self.shots, self.options)

    @property
    def row_executions(self) -> int:
        """Executions of one row."""
        return self.circuits_per_row * self.shots

    @property
    def executions(self) -> int:
        """Circuits times shots, without a calibration."""
        return self.rows * self.row_executions

    @property
    def payload_bytes(self) -> int:
        """Size in the payload of a job."""
        return self.circuit_bytes + self.rows * self.row_bytes


@dataclass(frozen=True)
class PackedJob:
    """A job: requests with the same settings, at least one, within the caps."""

    requests: tuple[CircuitRequest, ...]

    @property
    def key(self) -> str:
        """Its tag at the service; see `keys.job_key`."""
        return job_key(request.key for request in self.requests)

    @property
    def settings(self) -> JobSettings:
        """Backend, shots and options of all its requests."""
        return self.requests[0].settings

    @property
    def calibration(self) -> int:
        """Executions that serve all its requests."""
        return self.requests[0].calibration

    @property
    def executions(self) -> int:
        """Circuits times shots of all its requests, and the calibration."""
        return size_of(self.requests)[0]

    @property
    def payload_bytes(self) -> int:
        """Size of all its requests in the payload."""
        return size_of(self.requests)[1]


def size_of(requests: Iterable[CircuitRequest]) -> tuple[int, int]:
    """Executions, with one calibration, and bytes of the payload of several requests."""
    executions = size = calibration = 0
    for request in requests:
        executions, size = executions + request.executions, size + request.payload_bytes
        calibration = request.calibration
    return executions + calibration, size


def fits(executions: int, payload_bytes: int, caps: JobCaps) -> bool:
    """Whether a job of that size is within the caps."""
    return executions <= caps.executions and payload_bytes <= caps.payload_bytes


def pieces(request: CircuitRequest, caps: JobCaps) -> tuple[CircuitRequest, ...]:
    """The request cut into as few and as equal requests within the caps as possible.

    A request within the caps is returned as it is.

    Raises:
        ConfigError: one row alone is above a cap.
    """
    if fits(*size_of((request,)), caps):
        return (request,)
    most = (caps.executions - request.calibration) // request.row_executions
    if most <= 0:
        raise _row_above_cap_error(request, caps)
    if request.row_bytes:
        most = min(most, (caps.payload_bytes - request.circuit_bytes) // request.row_bytes)
    if most < 1 or request.circuit_bytes > caps.payload_bytes:
        raise ConfigError(
            f"a circuit with the values of one row takes "
            f"{request.circuit_bytes + request.row_bytes} bytes, and a job takes at most "
            f"{caps.payload_bytes}",
            field="circuit",
            fix="Take fewer gates or parameters.",
        )
    return tuple(_cut(request, -(-request.rows // most)))


def _cut(request: CircuitRequest, count: int) -> Iterator[CircuitRequest]:
    least, longer = divmod(request.rows, count)
    first = 0
    for index in range(count):
        rows = least + (index < longer)
        yield replace(
            request,
            key=piece_key(request.key, first, rows),
            rows=rows,
            first_row=request.first_row + first,
            source=request.source or request.key,
        )
        first += rows


def _row_above_cap_error(request: CircuitRequest, caps: JobCaps) -> ConfigError:
    most = caps.executions // request.circuits_per_row
    fix = f"Take {most} shots or fewer." if most else "Measure fewer observables."
    once = ""
    if request.calibration:
        once = f", the calibration of a job {request.calibration} executions"
        fix = "Take fewer shots, randomizations or noise factors."
    return ConfigError(
        f"one row takes {request.circuits_per_row} circuits of {request.shots} shots{once}, and a "
        f"job takes at most {caps.executions} executions",
        field="shots",
        value=request.shots,
        fix=fix,
    )


def _number_error(name: str, value: float, fix: str) -> ConfigError:
    return ConfigError("this number is out of range", field=name, value=value, fix=fix)


def alone(request: CircuitRequest) -> CircuitRequest:
    """The request without its group, whose other shares have been sent."""
    return replace(request, group="", part=0, parts=1, deadline=float("inf"), rides=False)
