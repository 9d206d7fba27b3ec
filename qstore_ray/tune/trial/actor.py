"""A trial as Ray Tune knows it: an actor that is asked for one report after another.

An actor runs one trial at a time and is used again for the next one, with the data and all imports
in place. Ray Tune's decisions come as calls: another `step`, or a reset for another trial.
"""

from __future__ import annotations

from pathlib import Path

from ray.tune import Trainable

from qstore_ray.tune.trial.attempt import Attempt
from qstore_ray.tune.trial.checkpoint_transfer import pack, unpack
from qstore_ray.tune.trial.messages import Message, TrialConfig
from qstore_ray.tune.trial.plan import SCRATCH, Plan
from qstore_ray.tune.trial.start_barrier import Assembly
from qstore_ray.tune.trial.trial import TrialRunner


class TrialActor(Trainable):
    """Runs trials, as Ray Tune asks for their reports. Lives in a Ray actor."""

    def setup(self, config: TrialConfig, plan: Plan) -> None:  # type: ignore[override]
        """The first trial of this process."""
        self._plan = plan
        self._runner = TrialRunner(plan)
        self._values = config["values"]
        self._attempt: Attempt | None = None
        self._others = Assembly(plan.folder / SCRATCH / "processes", plan.places)

    def step(self) -> Message:  # type: ignore[override]
        """The next report of the trial."""
        if self._attempt is None:
            name, values = self._folder.name, self._values
            self._attempt = Attempt(
                lambda link: self._runner.run(name, values, link), trace=self._folder / "error.txt"
            )
        message = self._attempt.next()
        self._others.wait()
        return message

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Copy the trial's newest checkpoint: it is paused, or another trial is to have it."""
        pack(self._folder, Path(checkpoint_dir))

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # type: ignore[override]
        """Resume from a checkpoint, the trial's own or another's."""
        unpack(Path(checkpoint_dir), self._folder)

    def reset_config(self, new_config: TrialConfig) -> bool:  # type: ignore[override]
        """Leave the trial, and get ready for another one."""
        self._leave()
        self._values = new_config["values"]
        return True

    def cleanup(self) -> None:
        """Leave the trial; this process will end."""
        self._leave()

    @property
    def _folder(self) -> Path:
        """The trial's run folder."""
        return self._plan.folder / str(self.trial_id)

    def _leave(self) -> None:
        if self._attempt is not None:
            self._attempt.stop()
            self._attempt = None
