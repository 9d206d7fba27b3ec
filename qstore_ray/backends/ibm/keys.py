"""Names of requests and jobs: equal work has an equal key, also in another process.

A job is submitted with its key as a tag. After a crash the service is asked for jobs with that tag
before anything is submitted again. So a key may depend only on what is asked for: on the run, the
trial, the step, the circuit, its parameters to the last bit, shots and options. The circuit counts
as its OpenQASM 3 text; Qiskit's binary format differs each time it is written.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.base import Bindings
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.qasm.qasm import to_qasm3
from qstore_ray.circuits.template import Template
from qstore_ray.credentials import HIDDEN, redact_text
from qstore_ray.errors import ConfigError
from qstore_ray.types import ReadOnlyTable

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

KEY_LENGTH = 32
"""Hexadecimal digits of a key."""
_WORD = r'[^\s"\'\\,;)\]}]+'
_CRN = re.compile(rf"crn:v\d+:{_WORD}")
_TOKEN = re.compile(
    rf"(\b(?:bearer|apikey)\s+|(?:api_?key|token)[\"']?\s*[=:]\s*[\"']?(?:bearer\s+)?){_WORD}",
    re.IGNORECASE,
)


def instance_id(crn: str) -> str:
    """The hash of an instance's CRN (16 hex digits): the CRN itself identifies the account."""
    return hashlib.sha256(crn.encode()).hexdigest()[:16]


def redact_account(text: str) -> str:
    """A text, such as a message of the service, with CRNs replaced by hashes and tokens by ***."""
    text = _CRN.sub(lambda found: f"crn:{instance_id(found[0])}", text)
    return redact_text(_TOKEN.sub(rf"\1{HIDDEN}", text))


def options_text(options: ReadOnlyTable) -> str:
    """Options as canonical JSON: equal options give equal text.

    Raises:
        ConfigError: a value that is no JSON, or NaN.
    """
    try:
        return json.dumps(options, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise ConfigError(
            f"the options cannot be written as JSON: {exc}",
            field="backend_options",
            fix="Use text, finite numbers, true, false, lists and tables.",
        ) from exc


def circuit_fingerprint(template: Template, observables: Sequence[Observable]) -> str:
    """SHA-256 of a circuit and of what is measured (64 hex digits); the same in every process."""
    gates = to_qasm3(replace(template, initial="zeros"))
    terms = [[list(term) for term in observable.terms] for observable in observables]
    return hashlib.sha256(json.dumps([gates, template.initial, terms]).encode()).hexdigest()


def request_key(
    *,
    run: str,
    trial: str,
    step: Sequence[int],
    group: str,
    part: int,
    shots: int,
    options: str,
    circuit: str,
    bindings: Bindings,
) -> str:
    """The key of a request (32 hex digits).

    Args:
        run: see `LedgerOwner.run`.
        step: the words of the evaluation's `DrawKey`: they distinguish two evaluations of equal
            parameters, which draw their own shots.
        group, part: the request's place among the workers' shares of a step.
        options: see `options_text`.
        circuit: see `circuit_fingerprint`.
        bindings: the values of the rows, compared to the last bit.
    """
    words = [int(word) for word in step]
    asked = [run, trial, words, group, part, shots, options, circuit]
    arrays = (bindings.rows, bindings.params, bindings.amplitudes)
    return _digest(json.dumps(asked).encode(), *map(_array_bytes, arrays))


def piece_key(request: str, first_row: int, rows: int) -> str:
    """The key of some rows of a request that is too large for one job."""
    return _digest(json.dumps([request, first_row, rows]).encode())


def job_key(requests: Iterable[str]) -> str:
    """The key of a job, its tag at the service: a hash of its requests' keys, in order."""
    return _digest(json.dumps(list(requests)).encode())


def _digest(*parts: bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.hexdigest()[:KEY_LENGTH]


def _array_bytes(array: AnyArray | None) -> bytes:
    """Shape, kind and values of an array, on any machine in the same order of bytes."""
    if array is None:
        return b""
    values = np.ascontiguousarray(array)
    values = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return json.dumps([values.dtype.str, list(values.shape)]).encode() + values.tobytes()
