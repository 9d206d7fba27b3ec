"""Fashion-MNIST from a local file.

python examples/data/fashion_local.py fashion_mnist.npz      arrays x and y, or IDX files, or …
"""

import sys

from qstore_ray import DatasetConfig, DatasetLoader

config = DatasetConfig(name="fashion", source="local", params={"path": sys.argv[1]})
print(DatasetLoader.load(config).describe())
