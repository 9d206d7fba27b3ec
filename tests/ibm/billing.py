"""Prices by IBM's published estimate: 2 s a job, and 350 µs an execution of a circuit."""

from __future__ import annotations

import math
from typing import Any

from tests.ibm import loading

SECONDS_A_JOB = 2.0
SECONDS_AN_EXECUTION = 0.00035
MOST_EXECUTIONS = 10_000_000
"""The published limit of a Sampler job."""


def executions(program_id: str, params: dict[str, Any]) -> int:
    """Circuits times shots of a submitted program, after broadcasting.

    The client prepares an "executor" program, so its executions are in it. The service prepares
    the older programs, whose executions are the least they can be.
    """
    if program_id == "executor":
        program = params["quantum_program"]
        return program["shots"] * sum(map(_size, program["items"]))
    loading.wait()
    from tests.ibm.primitives import primitive_executions

    return primitive_executions(program_id, params)


def _size(item: dict[str, Any]) -> int:
    if item["item_type"] == "circuit":
        return math.prod(item["circuit_arguments"]["shape"][:-1])
    return math.prod(item["shape"])


def seconds(count: int) -> float:
    """QPU seconds of one job of `count` executions."""
    return SECONDS_A_JOB + SECONDS_AN_EXECUTION * count
