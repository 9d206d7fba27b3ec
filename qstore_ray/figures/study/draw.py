"""A picture of a search by its name, and all that can be drawn of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from qstore_ray.errors import UsageError, unknown_name_error
from qstore_ray.figures.study.base import Search
from qstore_ray.figures.study.epochs import epochs_figure
from qstore_ray.figures.study.front import front_figure
from qstore_ray.figures.study.history import history_figure
from qstore_ray.figures.study.importance import importance_figure
from qstore_ray.figures.study.parallel import parallel_figure
from qstore_ray.figures.study.slices import slices_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES: Final[Mapping[str, Callable[[Search], Figure]]] = {
    "history": history_figure,
    "epochs": epochs_figure,
    "front": front_figure,
    "importance": importance_figure,
    "slices": slices_figure,
    "parallel": parallel_figure,
}
"""The kinds of pictures."""


def study_figure(kind: str, search: Search) -> Figure:
    """The picture of one kind.

    Raises:
        UnknownNameError: no such kind.
        UsageError: there is nothing to draw in it.
    """
    if kind not in FIGURES:
        raise unknown_name_error("kind of picture", kind, FIGURES, field="kind")
    return FIGURES[kind](search)


def study_figures(search: Search) -> Iterator[tuple[str, Figure | UsageError]]:
    """Yield every kind with its figure, or with the reason why it cannot be drawn."""
    for kind, draw in FIGURES.items():
        try:
            yield kind, draw(search)
        except UsageError as exc:
            yield kind, exc
