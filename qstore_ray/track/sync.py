"""Making trackers complete from a run folder alone, after a server was away or a driver killed.

The metrics file is the truth and buffers everything: nothing else has to be kept for a server that
does not answer. `sync_run` starts every tracker on the folder and finishes it, and a tracker that
already has everything is not changed by it. The folder of a study is a run folder too, with those
of its trials inside; it comes first, because trackers show a trial as a part of its study.
"""

from __future__ import annotations

from pathlib import Path

from qstore_ray.errors import RunError
from qstore_ray.track.base import RUN_INFO_FILE, Outcome, RunInfo
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.follow import open_trackers


def sync_run(
    run_dir: str | Path, config: TrackConfig | None = None, *, trials: bool = True
) -> list[str]:
    """Bring every configured tracker up to date with a finished run, or with a study and its
    trials.

    Runs in the calling process, which must be the only one that writes to these trackers. A run
    whose driver was killed counts as interrupted. Every tracker and every trial is tried before an
    error is raised; trials of a study are skipped if the study itself could not be synced.

    Args:
        trials: of a study, its trials too.

    Returns:
        The names of the trackers.

    Raises:
        MissingDependencyError: a tracker's package is not installed.
        RunError: no run in that folder, or a tracker still cannot be reached.

    Examples:
        from qstore_ray.errors import RunError
        try:
            sync_run("runs/missing", TrackConfig(mlflow=False))
        except RunError as error:
            print(error)
    """
    run_dir, config = Path(run_dir), config or TrackConfig()
    failed = _sync(run_dir, config)
    if trials and not failed:
        for path in sorted(run_dir.glob(f"*/{RUN_INFO_FILE}")):
            failed += [(f"{path.parent.name}: {n}", e) for n, e in _sync(path.parent, config)]
    if failed:
        _, first = failed[0]
        raise RunError(
            f"not complete: {'; '.join(f'{name}: {exc.message}' for name, exc in failed)}",
            field=first.field,
            value=first.value,
            fix="Call it again when that is fixed; the run folder keeps everything.",
        ) from first
    return [tracker.name for tracker in open_trackers(config)]


def _sync(run_dir: Path, config: TrackConfig) -> list[tuple[str, RunError]]:
    """Bring the trackers up to date with one folder; which of them failed, and with what."""
    run, outcome = RunInfo.load(run_dir)
    ended = outcome or Outcome(status="interrupted")
    kept = [path for path in ended.artifacts if path.exists()]
    failed = []
    for tracker in open_trackers(config):
        try:
            tracker.start(run)
            tracker.finish(ended.status, ended.summary, kept)
        except RunError as exc:
            failed.append((tracker.name, exc))
    return failed
