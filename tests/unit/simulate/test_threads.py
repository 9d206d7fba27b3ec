"""Threads: they share rows, or the amplitudes of wide rows, and change no bit of any result."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.circuits.observable import Observable, z_observables
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.simulate.compile.compiler import compile_program
from qstore_ray.simulate.engines import native
from qstore_ray.simulate.engines.engines import SPLIT, state_bytes
from qstore_ray.simulate.engines.threads import side_by_side
from tests.unit.simulate.test_tail import convolutional

WIDE = 18
"""Qubits of a circuit whose threads share amplitudes."""


def _library(n: int, **options) -> Template:
    chosen = {"encoding": "angle", "ansatz": "hardware_efficient", "layers": 2, **options}
    return build_circuit(n_qubits=n, n_features=n, **chosen).template


def _phases_of_rows(n: int) -> Template:
    """Phases and turns whose angles differ from row to row, and a start from two halves."""
    ops = [Op("h", (q,)) for q in range(n)]
    ops += [Op("rzz", (q, q + 1), (row(q),)) for q in range(n - 1)]
    ops += [Op("rx", (q,), (row(q),)) for q in range(0, n, 2)]
    ops += [Op("ry", (q,), (param(q),)) for q in range(n)]
    ops += [Op("cp", (q, (q + 5) % n), (param(q),)) for q in range(n)]
    ops += [Op("rxx", (0, n - 1), (const(0.3),)), Op("rx", (3,), (param(3),))]
    return Template(n, tuple(ops), n, n)


TEMPLATES = {
    "real turns": _library(WIDE),
    "all turns": _library(WIDE, ansatz="strongly_entangling", layers=1),
    "phases of rows": _phases_of_rows(WIDE),
    "amplitudes": Template(
        WIDE,
        (*(Op("ry", (q,), (param(q),)) for q in range(WIDE)), Op("cx", (0, WIDE - 1))),
        0, WIDE, "amplitudes",
    ),
    "rows": _library(13),
    "a kept tail": convolutional(9),
}  # fmt: skip


def _sweep(template: Template, threads: int, precision="complex128"):
    """Values and all gradients of a few rows."""
    rng = np.random.default_rng(4)
    n, n_rows = template.n_qubits, 2 if template.n_qubits >= SPLIT else 40
    observables = (*z_observables(n)[-3:], Observable.parse(f"X0 Y1 Z{n - 1}"))
    rows = rng.normal(size=(n_rows, template.n_rows))
    amplitudes = None
    if template.initial == "amplitudes":
        amplitudes = rng.normal(size=(n_rows, 2**n)) + 1j * rng.normal(size=(n_rows, 2**n))
        amplitudes /= np.linalg.norm(amplitudes, axis=1, keepdims=True)
    bindings = Bindings(rows, rng.normal(size=template.n_params), amplitudes)
    backend = StatevectorBackend("native", threads, precision)
    estimates, pullback = backend.vjp(template, observables, bindings, rows_gradient=True, block=16)
    found = pullback(rng.normal(size=estimates.values.shape))
    arrays = (estimates.values, found.rows, found.params, found.amplitudes)
    return [array for array in arrays if array is not None]


@pytest.mark.parametrize("name", TEMPLATES)
def test_any_number_of_threads_gives_the_same_bits(name: str):
    alone = _sweep(TEMPLATES[name], 1)
    for threads in (2, 3, 7):
        for one, several in zip(alone, _sweep(TEMPLATES[name], threads), strict=True):
            np.testing.assert_array_equal(one, several)


def test_so_it_does_in_single_precision():
    template = TEMPLATES["phases of rows"]
    for one, several in zip(
        _sweep(template, 1, "complex64"), _sweep(template, 2, "complex64"), strict=True
    ):
        np.testing.assert_array_equal(one, several)


def test_amplitudes_that_are_shared_are_those_of_the_light_cones():
    rng = np.random.default_rng(1)
    n = WIDE
    ops = [Op("ry", (q,), (row(q),)) for q in range(n)]
    ops += [Op("rzz", (q, q + 1), (param(q),)) for q in range(n - 1)]
    ops += [Op("rx", (q,), (param(n + q),)) for q in range(n)]
    template = Template(n, tuple(ops), n, 2 * n)
    observables = (*z_observables(n), Observable.parse("Y3 X4"))
    bindings = Bindings(rng.normal(size=(1, n)), rng.normal(size=2 * n))
    cotangent = rng.normal(size=(1, n + 1))
    found = []
    for light_cones in (False, True):
        backend = StatevectorBackend("native", 2, light_cones=light_cones)
        estimates, pullback = backend.vjp(template, observables, bindings, rows_gradient=True)
        slots = pullback(cotangent)
        found.append(np.concatenate([estimates.values, slots.rows, slots.params], axis=1))
    np.testing.assert_allclose(*found, atol=1e-12)


def test_threads_that_share_amplitudes_share_their_memory():
    program = compile_program(_library(WIDE), z_observables(WIDE))
    loaded = native.load(program)
    assert loaded.splits
    assert not native.load(compile_program(_library(SPLIT - 1), z_observables(1))).splits
    states = state_bytes("native", WIDE, 4, "complex128")
    assert states == state_bytes("native", WIDE, 1, "complex128")
    assert states < loaded.scratch_bytes < 1.2 * states


def test_a_process_that_was_forked_off_has_threads_of_its_own():
    template = TEMPLATES["real turns"]
    here = _sweep(template, 2)
    child = os.fork()
    if child == 0:
        same = all(map(np.array_equal, here, _sweep(template, 2)))
        os._exit(7 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_sweeps_side_by_side_have_threads_of_their_own():
    template = TEMPLATES["real turns"]
    here = _sweep(template, 1)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: _sweep(template, 3), range(8)):
            assert all(map(np.array_equal, here, found))


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_after_a_failure_nothing_more_is_begun(error: type[BaseException]):
    """One share fails while the other one is under way with its first item."""
    failing, done = threading.Event(), list[int]()

    def run(item: int) -> None:
        if item < 0:
            failing.set()
            raise error
        assert failing.wait(60)
        done.append(item)
        time.sleep(0.5)

    with pytest.raises(error):
        side_by_side(run, [range(-1, 0), range(100)])
    time.sleep(1.0)
    assert done in ([], [0])


def test_ctrl_c_while_threads_work_is_an_interruption_and_ends_them():
    begun, done = threading.Event(), list[int]()

    def run(item: int) -> None:
        begun.set()
        time.sleep(0.3)
        done.append(item)

    def interrupt() -> None:
        assert begun.wait(60)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        side_by_side(run, [range(100), range(100, 200)])
    time.sleep(1.0)
    assert 1 <= len(done) <= 20
