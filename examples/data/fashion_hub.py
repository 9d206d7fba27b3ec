"""Fashion-MNIST from the Hugging Face hub: its Parquet files, at one commit.

    python examples/data/fashion_hub.py              HF_ENDPOINT may name a mirror, HF_TOKEN a token

The commit is written into the provenance; the files are kept in `cache_dir` and read from there.
"""

from qstore_ray import DatasetConfig, DatasetLoader

params = {"path": "zalando-datasets/fashion_mnist"}
config = DatasetConfig(
    name="fashion", source="huggingface", params=params, cache_dir="cache",
    split={"train": 0.9, "val": 0.1},
)  # fmt: skip
print(DatasetLoader.load(config).describe())
