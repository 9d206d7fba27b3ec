"""Noise models of Qiskit Aer as devices: any pair of qubits, and a channel for each gate.

An error of Aer is a random list of instructions. Here it becomes a Pauli channel if it is one, else
a channel of few Kraus operators. As in Aer, an error of named qubits goes before one for all of
them. Errors of `reset`, `delay` and `id` are left out, and said: a circuit has none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.backends.noise.channels import (
    PAULIS,
    AnyChannel,
    KrausChannel,
    PauliChannel,
    is_pauli,
    twirled,
)
from qstore_ray.backends.noise.device.device import Device, DeviceGate, DeviceQubit
from qstore_ray.backends.noise.entries import Confusion
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.types import ComplexArray, Table

NAME = "aer_noise_model"
_DEFAULT_BASIS = ("cx", "rz", "sx")
_NOT_IN_CIRCUITS = frozenset({"id", "reset", "delay", "measure", "initialize", "kraus", "unitary"})
_RESET = np.array([[[1, 0], [0, 0]], [[0, 1], [0, 0]]], complex)


def from_noise_model(model: Any) -> Device:
    """From an Aer `NoiseModel`."""
    return from_dict({**model.to_dict(), "basis_gates": list(model.basis_gates)})


def from_dict(given: Table) -> Device:
    """From `NoiseModel.to_dict()`; the basis is Aer's own and the gates with errors.

    Raises:
        ConfigError: no such dictionary, or an error that is not of one or two qubits.
    """
    try:
        errors = [dict(each) for each in given["errors"]]
        known: dict[tuple[str, tuple[int, ...] | None], DeviceGate] = {}
        confusions: dict[int | None, Confusion] = {}
        left_out: set[str] = set()
        for error in errors:
            places = error.get("gate_qubits")
            wheres = [None] if places is None else [tuple(int(q) for q in each) for each in places]
            if error["type"] == "roerror":
                _add_readout(confusions, error["probabilities"], wheres)
                continue
            channel = _channel(error)
            for name in error["operations"]:
                if name in _NOT_IN_CIRCUITS:
                    left_out.add(name)
                    continue
                for where in wheres:
                    if (name, where) in known:
                        raise _model_error(f"two errors of {name}", where)
                    known[name, where] = DeviceGate(gate=name, qubits=where, channel=channel)
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        if isinstance(exc, ConfigError):
            raise
        raise _model_error(f"{type(exc).__name__}: {exc}", None) from exc
    basis = set(given.get("basis_gates", _DEFAULT_BASIS)) | {name for name, _ in known}
    widest = max((q for q in confusions if q is not None), default=-1) + 1
    return Device(
        name=NAME,
        basis=tuple(sorted(basis - _NOT_IN_CIRCUITS)),
        qubits=tuple(DeviceQubit(readout=confusions.get(q)) for q in range(widest)),
        gates=tuple(known.values()),
        coupled=False,
        readout=confusions.get(None),
        left_out=tuple(sorted(left_out)),
    )


def _add_readout(
    confusions: dict[int | None, Confusion],
    probabilities: Any,
    wheres: Sequence[tuple[int, ...] | None],
) -> None:
    """Aer's rows are P(read | prepared), ours are the columns."""
    if len(probabilities) != 2:
        raise _model_error("readout errors of several qubits together", wheres)
    (a, b), (c, d) = np.array(probabilities, float).T.tolist()
    for where in wheres:
        confusions[None if where is None else where[0]] = ((a, b), (c, d))


def _channel(error: Mapping[str, Any]) -> AnyChannel:
    branches = [list(each) for each in error["instructions"]]
    n_qubits = 1 + max(q for branch in branches for each in branch for q in each["qubits"])
    if n_qubits > 2:
        raise _model_error(f"an error of {n_qubits} qubits", error["operations"])
    kraus = np.concatenate(
        [
            np.sqrt(float(p)) * _branch(branch, n_qubits)
            for branch, p in zip(branches, error["probabilities"], strict=True)
        ]
    )
    if not is_pauli(kraus):
        return KrausChannel.from_operators(kraus)
    letters = list(PAULIS)
    found = {
        "".join(letters[outcome >> 2 * q & 3] for q in range(n_qubits)): float(p)
        for outcome, p in enumerate(twirled(kraus))
        if p > 1e-15
    }
    return PauliChannel(probabilities=found)


def _branch(branch: Sequence[Mapping[str, Any]], n_qubits: int) -> ComplexArray:
    """Kraus operators (K, 2^n, 2^n) of instructions one after another."""
    found: ComplexArray = np.eye(2**n_qubits, dtype=complex)[None]
    for each in branch:
        wide = _widened(_operators(each), tuple(each["qubits"]), n_qubits)
        found = np.einsum("kab,jbc->kjac", wide, found).reshape(-1, *found.shape[1:])
    return found


def _operators(each: Mapping[str, Any]) -> ComplexArray:
    from qiskit.circuit.library import get_standard_gate_name_mapping

    name, params = each["name"], each.get("params", ())
    if name == "reset":
        return _RESET
    if name == "pauli":
        found: ComplexArray = np.eye(1, dtype=complex)
        for letter in params[0]:  # the last letter is the first qubit
            found = np.kron(found, PAULIS[letter]).astype(complex)
        return found[None]
    if name in {"kraus", "unitary"}:
        return np.array([_complex(matrix) for matrix in params])
    gate = get_standard_gate_name_mapping().get(name)
    if gate is None or gate.params:
        raise _model_error(f"an error that applies {name}", each["qubits"])
    return np.array([gate.to_matrix()], complex)


def _complex(matrix: Any) -> ComplexArray:
    """A matrix; in JSON a number is [real, imaginary]."""
    found = np.array(matrix)
    if found.ndim == 3:
        found = found[..., 0] + 1j * found[..., 1]
    return found.astype(complex)


def _widened(kraus: ComplexArray, qubits: tuple[int, ...], n_qubits: int) -> ComplexArray:
    """Operators on some of the qubits as operators on all."""
    if qubits == tuple(range(n_qubits)):
        return kraus
    if len(qubits) == 2:  # (1, 0)
        swap = np.eye(4)[[0, 2, 1, 3]]
        return np.array([swap @ k @ swap for k in kraus])
    one = np.eye(2)
    return np.array([np.kron(one, k) if qubits == (0,) else np.kron(k, one) for k in kraus])


def _model_error(what: str, where: Any) -> ConfigError:
    return ConfigError(
        f"this noise model of Aer cannot be read: {what}",
        field="device",
        value=where,
        fix="Give a NoiseModel, or its to_dict(), with errors of one and two qubits.",
    )
