"""Fashion-MNIST, or any arrays, by a dataset service: uploaded once, then loaded by its id.

    qstore data serve datasets &
    python examples/data/fashion_service.py http://127.0.0.1:8321 fashion_mnist.npz

A service with a token reads it from QSTORE_DATA_TOKEN, and so do its clients.
"""

import os
import sys

from pydantic import SecretStr

from qstore_ray import DatasetConfig, DatasetLoader
from qstore_ray.data.service.client.client import DatasetServiceClient

url, file = sys.argv[1:]
token = os.environ.get("QSTORE_DATA_TOKEN")
client = DatasetServiceClient(url, token=SecretStr(token) if token else None)
record = client.upload(file, "fashion")
params = {"dataset_id": record.id, "base_url": url}
config = DatasetConfig(name="fashion", source="backend_api", params=params, cache_dir="cache")
print(DatasetLoader.load(config).describe())
