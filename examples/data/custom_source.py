"""A source of one's own: two moons that are made where they are read, in four parallel tasks."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sklearn.datasets import make_moons

from qstore_ray import DatasetConfig, DatasetLoader
from qstore_ray.config import Config
from qstore_ray.data.sources.base import SourceAdapter, SourceConfig, SourceData


class MoonsParams(Config):
    """The fields of `params`; unknown ones are refused, and these defaults are filled in."""

    rows: int = 400
    noise: float = 0.1


@dataclass(frozen=True)
class MakeMoons:
    """A read task: the same rows whenever and wherever it is called."""

    start: int
    stop: int
    noise: float

    def __call__(self) -> dict[str, np.ndarray]:
        x, y = make_moons(self.stop - self.start, noise=self.noise, random_state=self.start)
        return {"x": x, "y": y, "row": np.arange(self.start, self.stop)}


class MoonsAdapter(SourceAdapter[MoonsParams]):
    """What turns the parameters into read tasks."""

    Params = MoonsParams

    def read(self, params: MoonsParams, config: SourceConfig) -> SourceData:
        edges = np.linspace(0, params.rows, 5, dtype=int).tolist()
        tasks = (MakeMoons(a, b, params.noise) for a, b in pairwise(edges))
        return SourceData(tasks=tuple(tasks), provenance={"source": "moons"})


DatasetLoader.register("moons", MoonsAdapter)
print(DatasetLoader.load(DatasetConfig(name="moons", source="moons")).describe())
