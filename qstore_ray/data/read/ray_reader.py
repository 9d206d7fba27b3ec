"""Read plans as a Ray data source: the only file of the data layer that imports Ray."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import ray
import ray.data
from ray.data.block import Block, BlockAccessor, BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from qstore_ray.data.prepare.one_pass import summary_of
from qstore_ray.deadline import ray_result
from qstore_ray.errors import QStoreError, UsageError, numbered

if TYPE_CHECKING:
    from qstore_ray.data.prepare.prepare import Preparation
    from qstore_ray.data.prepare.steps import Step
    from qstore_ray.data.prepare.summaries import Summary
    from qstore_ray.data.read.plan import ReadPlan, SplitTask


class PlanDatasource(Datasource):
    """The tasks of a read plan, one Ray read task each."""

    def __init__(self, name: str, plan: ReadPlan, row_bytes: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray does not annotate it
        self._name = name
        self._plan = plan
        self._row_bytes = row_bytes

    def get_name(self) -> str:
        """The name that Ray's progress report shows."""
        return self._name

    def estimate_inmemory_data_size(self) -> int | None:
        """Size of all blocks together, in bytes."""
        return self._plan.n_rows * self._row_bytes

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """The plan's tasks for Ray; `parallelism` does not change their number."""
        return [
            ReadTask(
                _reader(task),
                BlockMetadata(
                    num_rows=task.n_rows,
                    size_bytes=task.n_rows * self._row_bytes,
                    input_files=None,
                    exec_stats=None,
                ),
                per_task_row_limit=per_task_row_limit,
            )
            for task in self._plan.tasks
        ]


def _reader(task: SplitTask) -> Callable[[], Iterable[Block]]:
    return lambda: [BlockAccessor.batch_to_block(task())]


def read_with_ray(name: str, plan: ReadPlan, n_features: int) -> ray.data.Dataset:
    """The rows of `plan` as a lazy `ray.data.Dataset`: columns x, y, row, and weight if any.

    Raises:
        UsageError: Ray is not running.
    """
    if not ray.is_initialized():
        raise UsageError(
            "Ray is not running in this process",
            fix='Call ray.init("local") or ray.init(address) first, or use materialize().',
        )
    source = PlanDatasource(name, plan, row_bytes=8 * (n_features + 2))
    rows: ray.data.Dataset = ray.data.read_datasource(source, override_num_blocks=len(plan.tasks))
    return rows


def summaries_with_ray(plan: ReadPlan, fitted: Preparation, step: Step) -> Iterator[Summary]:
    """What `step` has to know of each block of the plan, in order, by tasks of a running Ray.

    A few blocks more than there are processors are read ahead.

    Raises:
        QStoreError: what reading a block raised.
    """
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    ahead = 2 * max(1, int(resources.get("CPU", 1.0)))
    waiting: deque[Any] = deque()
    remote = ray.remote(num_cpus=1, max_retries=3)(_summary)
    for task in plan.tasks:
        waiting.append(remote.remote(task, fitted, step))
        if len(waiting) >= ahead:
            yield _received(waiting.popleft())
    while waiting:
        yield _received(waiting.popleft())


def _summary(task: SplitTask, fitted: Preparation, step: Step) -> Summary:
    block = task.raw()
    with numbered(block.row):
        return summary_of(fitted, step, block.x)


def _received(found: Any) -> Summary:
    try:
        summary: Summary = ray_result(found, "a Ray task that reads rows; it needs a free CPU")
    except ray.exceptions.RayTaskError as exc:
        if isinstance(exc.cause, QStoreError):
            raise exc.cause from exc
        raise
    return summary
