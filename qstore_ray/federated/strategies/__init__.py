"""How a server makes the next model from those of its clients, by name.

Begin with `base.py`, then `averaging.py`. To add one, write a `Config` with the methods of
`Strategy`, and name it in `STRATEGIES`.

    averaging   means: FedAvg, with momentum, with a proximal term, SCAFFOLD
    adaptive    the mean change as a gradient of an adaptive optimizer: FedAdam, FedYogi, FedAdagrad
    robust      rules that some faulty clients cannot move: median, trimmed mean, Krum, Bulyan
"""

from __future__ import annotations

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, under
from qstore_ray.federated.strategies.base import Strategy
from qstore_ray.registry import Registry
from qstore_ray.types import ReadOnlyTable

_HERE = "qstore_ray.federated.strategies"
STRATEGIES: Registry[type[Config]] = Registry(
    "strategy",
    {
        "bulyan": f"{_HERE}.robust:Bulyan",
        "fedadagrad": f"{_HERE}.adaptive:FedAdagrad",
        "fedadam": f"{_HERE}.adaptive:FedAdam",
        "fedavg": f"{_HERE}.averaging:FedAvg",
        "fedavgm": f"{_HERE}.averaging:FedAvgM",
        "fedprox": f"{_HERE}.averaging:FedProx",
        "fedyogi": f"{_HERE}.adaptive:FedYogi",
        "krum": f"{_HERE}.robust:Krum",
        "median": f"{_HERE}.robust:CoordinateMedian",
        "multikrum": f"{_HERE}.robust:MultiKrum",
        "scaffold": f"{_HERE}.averaging:Scaffold",
        "trimmed_mean": f"{_HERE}.robust:TrimmedMean",
    },
    field="strategy",
    forms=(("local", "check", "init", "update"),),
)


def get_strategy(name: str, options: ReadOnlyTable) -> Strategy:
    """The strategy of that name with those options.

    Raises:
        UnknownNameError: no such strategy.
        ConfigError: an option that it does not have, or a wrong value.
    """
    kind = STRATEGIES[name]
    with under("strategy_options"):
        strategy = kind(**options)
    if not isinstance(strategy, Strategy):
        raise ConfigError(
            "a strategy has local, check, init and update", field="strategy", value=name
        )
    return strategy
