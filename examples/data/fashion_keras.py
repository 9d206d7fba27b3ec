"""Fashion-MNIST from Keras's cache, which Keras itself need not be installed to read.

    python examples/data/fashion_keras.py            ~/.keras, or KERAS_HOME
    python examples/data/fashion_keras.py HASHES     files of your own, with their SHA-256 as JSON

The 10,000 official test images stay the test set; val is cut from the training images.
"""

import json
import sys

from qstore_ray import DatasetConfig, DatasetLoader

params = {
    "dataset": "fashion_mnist",
    **({"sha256": json.loads(sys.argv[1])} if sys.argv[1:] else {}),
}
config = DatasetConfig(
    name="fashion", source="keras", params=params, split={"train": 0.9, "val": 0.1}
)
print(DatasetLoader.load(config).describe())
