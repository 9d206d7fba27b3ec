"""The loss of each client of a federation by round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from qstore_ray.figures.base import BLUE, PALETTE, finish, new_figure, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NAMED: Final = 2 * len(PALETTE)


def client_figure(losses: Mapping[int, Mapping[str, float]]) -> Figure | None:
    """A line for each client; None if no client has a loss.

    Clients beyond the number of colours have dashed lines; beyond twice that number all lines have
    one colour and no name.

    Args:
        losses: of the clients of each round, by their ids.
    """
    clients = sorted({client for of_round in losses.values() for client in of_round})
    if not clients:
        return None
    figure = new_figure(7.0, 4.2)
    axes = figure.subplots()
    axes.set_title("Loss of each client", loc="left", fontweight="bold")
    is_named = len(clients) <= _MOST_NAMED
    for place, client in enumerate(clients):
        points = [(n, of_round[client]) for n, of_round in sorted(losses.items())
                  if client in of_round]  # fmt: skip
        axes.plot(
            [number + 1 for number, _ in points],
            [loss for _, loss in points],
            linestyle="--" if is_named and place >= len(PALETTE) else "-",
            color=PALETTE[place % len(PALETTE)] if is_named else BLUE,
            alpha=1.0 if is_named else 0.4,
            marker="o" if len(points) <= 1 else None,
            linewidth=1.5,
            label=short(client, 28) if is_named else None,
        )
    if is_named:
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.set_xlabel("round")
    axes.set_ylabel("mean loss of its steps")
    finish(axes)
    return figure
