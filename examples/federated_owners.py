"""Three owners with a file each; the server never has their rows:

    python examples/federated_owners.py
    python examples/federated_owners.py --workers 3

With --workers each owner is a Ray actor, which loads its own file. On a cluster `node` or
`resource` of `ClientSite` pins it to the machine that has the file. The run folder, with
checkpoints, figures and a report, is runs/owners.
"""

import argparse
import csv
from pathlib import Path

from sklearn.datasets import load_iris

from qstore_ray import (
    ClientSite,
    ClusterConfig,
    DatasetConfig,
    DatasetLoader,
    FederatedTrainer,
    FederationConfig,
    ModelConfig,
    TrackConfig,
    TrainerConfig,
)

OWNERS = ("north", "south", "west")
COLUMNS = ["sepal length", "sepal width", "petal length", "petal width"]


def write(name: str, start: int, step: int) -> Path:
    """Some rows of iris as the file of an owner; in real life they are there already."""
    x, y = load_iris(return_X_y=True)
    path = Path(f"{name}.csv").resolve()
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([*COLUMNS, "kind"])
        rows.writerows([*x[i], "abc"[y[i]]] for i in range(start, len(x), step))
    return path


def dataset(name: str, path: Path, split: dict[str, float]) -> DatasetConfig:
    """How a file is read. The same steps for all, fitted to nobody's rows: 0.4 makes angles."""
    return DatasetConfig(
        name=name, source="local", params={"path": str(path)}, columns={"label": "kind"},
        split=split, preprocessing=[{"name": "scale", "factor": 0.4}],
    )  # fmt: skip


parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("--workers", type=int, default=0, help="Ray actors of the owners; 0 for none")
workers = parser.parse_args().workers

owners = {
    name: ClientSite(
        dataset=dataset(name, write(name, place, 4), {"train": 1.0}), key_file=f"{name}.key"
    )
    for place, name in enumerate(OWNERS)
}
public = DatasetLoader.load(dataset("public", write("public", 3, 4), {"train": 0.1, "test": 0.9}))

trainer = FederatedTrainer(
    ModelConfig(n_qubits=4, layers=3),
    TrainerConfig(batch_size=8, learning_rate=0.1, schedule="constant"),
    FederationConfig(
        rounds=15, local_epochs=2, local_state="kept", secure_sum=True, deadline=60.0,
        strategy_options={"weights": "uniform"}, num_workers=workers,
    ),
    name="owners",
    cluster=ClusterConfig(cpus_per_worker=0.5),
    track=TrackConfig(mlflow=False),
)  # fmt: skip
result = trainer.fit(owners, test=public)

print(f"owners        {', '.join(result.history[-1].used)}")
print(f"test accuracy {result.metrics['test_accuracy']:.3f}")
print(f"run folder    {result.run_dir}")
print(f"one flower    {result.model.predict([[5.1, 3.5, 1.4, 0.2]])}")
