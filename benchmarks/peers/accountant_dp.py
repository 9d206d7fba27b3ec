"""ε by dp-accounting, for settings that come as JSON on the standard input.

Each is [q, σ, T, δ, tight]; the answer is, for each, ε by Rényi divergences, and by privacy loss
distributions where `tight` is true (else null). Neighbours differ by one row more or less.
"""

from __future__ import annotations

import json
import logging
import sys

import dp_accounting
from dp_accounting import pld, rdp

logging.disable(logging.WARNING)  # it says which orders it leaves out


def event(q: float, sigma: float, steps: int) -> dp_accounting.DpEvent:
    """T steps of a Gaussian mechanism on a Poisson sample."""
    gauss = dp_accounting.GaussianDpEvent(sigma)
    step = gauss if q == 1.0 else dp_accounting.PoissonSampledDpEvent(q, gauss)
    return dp_accounting.SelfComposedDpEvent(step, steps)


def main() -> None:
    """Answer all settings."""
    answers = []
    for q, sigma, steps, delta, tight in json.load(sys.stdin):
        by_divergence = rdp.RdpAccountant()
        by_divergence.compose(event(q, sigma, steps))
        found = [by_divergence.get_epsilon(delta), None]
        if tight:
            by_loss = pld.PLDAccountant(value_discretization_interval=1e-4)
            by_loss.compose(event(q, sigma, steps))
            found[1] = by_loss.get_epsilon(delta)
        answers.append(found)
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
