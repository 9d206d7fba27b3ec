"""A trial as Ray Tune knows it: an actor that is asked for one report after another.

An actor runs one trial at a time and is used again for the next one, with the data and all imports
in place. Ray Tune's decisions come as calls: another `step`, or a reset for another trial.
"""

from __future__ import annotations

from typing import Any

from ray.tune import Trainable

from qstore_ray.tune.attempt import Attempt, Message
from qstore_ray.tune.trial import Plan, Trials


class TrialActor(Trainable):
    """Runs trials, as Ray Tune asks for their reports. Lives in a Ray actor."""

    def setup(self, config: dict[str, Any], plan: Plan) -> None:
        """The first trial of this process."""
        self._plan = plan
        self._trials = Trials(plan)
        self._values: dict[str, Any] = config["values"]
        self._attempt: Attempt | None = None

    def step(self) -> Message:
        """The next report of the trial."""
        if self._attempt is None:
            name, values = str(self.trial_id), self._values
            self._attempt = Attempt(
                lambda link: self._trials.run(name, values, link),
                trace=self._plan.folder / name / "error.txt",
            )
        return self._attempt.next()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Leave the trial, and get ready for another one."""
        self._leave()
        self._values = new_config["values"]
        return True

    def cleanup(self) -> None:
        """Leave the trial; this process will end."""
        self._leave()

    def _leave(self) -> None:
        if self._attempt is not None:
            self._attempt.stop()
            self._attempt = None
