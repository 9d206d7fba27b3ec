"""`qstore runs sync`: give the trackers what they missed."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated

import typer

from qstore_ray.cli.output import AsJson, Storage, examples, say, say_json
from qstore_ray.storage.address import shown_place

SYNC_EXAMPLES = examples(
    "runs sync digits",
    "runs sync digits --storage /data/runs --json",
)


def sync(
    run: Annotated[str, typer.Argument(metavar="NAME", help="A run's name, or its folder.")],
    storage: Storage = "runs",
    as_json: AsJson = False,
) -> None:
    """Bring the trackers of a run's configuration up to date with its folder.

    For a tracker that could not be reached during the run, or a run that was killed.
    Nothing is recorded twice.
    """
    from qstore_ray.config import read_toml
    from qstore_ray.track.config import TrackConfig
    from qstore_ray.track.sync import sync_run
    from qstore_ray.train.run.find import find_run

    folder = find_run(run, storage)
    config = TrackConfig.from_dict(read_toml(folder / "config.toml").get("track", {}))
    with contextlib.redirect_stdout(sys.stderr):
        done = sync_run(folder, config)
    if as_json:
        say_json({"name": folder.name, "run_dir": shown_place(folder), "trackers": done})
    else:
        say(f"{folder.name} is complete in {', '.join(done) or 'no tracker: none is configured'}.")
