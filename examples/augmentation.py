"""More training digits from the ones there are: python examples/augmentation.py

Copies of 200 digits, shifted and noisy, stand beside the originals; the test digits stay as they
are. The reference is scikit-learn's logistic regression, which is fitted in a second.
"""

from sklearn.linear_model import LogisticRegression

from qstore_ray import DatasetConfig, DatasetLoader
from qstore_ray.data.augment.config import PipelineConfig
from qstore_ray.data.augment.pipeline import AugmentationPipeline, augment_split

IMAGE = (8, 8)

data = DatasetLoader.load(
    DatasetConfig(
        name="digits",
        params={"dataset": "digits"},
        split={"train": 0.12, "test": 0.88},
        preprocessing=[{"name": "scale", "factor": 1 / 16}],  # pixels to [0, 1]
    )
)
pipeline = AugmentationPipeline.from_config(
    PipelineConfig(
        seed=7,
        steps=[
            {"name": "rotate", "degrees": 10.0},
            {"name": "shift", "pixels": 1},
            {"name": "gaussian_noise", "std": 0.1, "limits": [0.0, 1.0]},
        ],
    )
)
x, y = data.materialize("train")
x_test, y_test = data.materialize("test")
more = augment_split(data, "train", pipeline, copies=8, shape=IMAGE)


def accuracy(rows, labels):
    return LogisticRegression(max_iter=1000).fit(rows, labels).score(x_test, y_test)


print(f"steps         {', '.join(step.name for step in pipeline.steps)}")
print(f"training rows {more.counts}")
print(f"without       {accuracy(x, y):.3f}")
print(f"test accuracy {accuracy(more.x, more.y):.3f}")
