"""A quantum classifier inside scikit-learn: python examples/sklearn_pipeline.py [--ray]

A pipeline standardises the wine data, keeps some principal components and trains a circuit on them;
a grid search finds how many components and layers are best. With --ray the candidates are fitted by
Ray workers: on the cluster of RAY_ADDRESS, or else on a small Ray of its own on this machine.
"""

import argparse
from contextlib import ExitStack

from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from qstore_ray.estimator import QuantumClassifier

parser = argparse.ArgumentParser(description="A quantum classifier inside scikit-learn.")
parser.add_argument("--ray", action="store_true", help="fit the candidates in Ray workers")
parser.add_argument("--workers", type=int, default=2, help="how many at a time (2)")
arguments = parser.parse_args()

pipeline = Pipeline(
    [
        ("scale", StandardScaler()),
        ("reduce", PCA()),
        ("model", QuantumClassifier(epochs=20, random_state=0)),
    ]
)
grid = {"reduce__n_components": [3, 5], "model__n_layers": [1, 2]}
search = GridSearchCV(pipeline, grid, cv=3)

x, y = load_wine(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0, stratify=y)

with ExitStack() as stack:
    if arguments.ray:
        from joblib import parallel_config
        from ray.util.joblib import register_ray

        from qstore_ray.train.config import ClusterConfig
        from qstore_ray.train.ray.session import ray_session

        stack.enter_context(ray_session(ClusterConfig(), arguments.workers))
        register_ray()
        stack.enter_context(parallel_config("ray", n_jobs=arguments.workers))
    search.fit(x_train, y_train)

print(f"best          {search.best_params_}")
print(f"validation    {search.best_score_:.3f}")
print(f"test accuracy {search.score(x_test, y_test):.3f}")
