"""Mitigation as data: how readout errors are inverted, noise is amplified, gates are twirled.

[trainer.mitigation]
readout = "inverse"
zne = { scales = [1, 2, 3], folding = "global", extrapolation = "linear" }
twirl = 8
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError

_LEAST = 2
"""Scales that each extrapolation needs."""


class ZneConfig(Config):
    """Zero-noise extrapolation: evaluate at several noise scales and extrapolate to none.

    Args:
        scales: how many times the circuit's own noise, each at least 1; a scale that is no odd
            number is reached by folding a part of the gates.
        folding: `global` runs U (U†U)^k; `local` does so with each gate.
        extrapolation: `linear`, a straight line by least squares; `exponential`, a decay to 0 by
            least squares of log |value|; `richardson`, the polynomial through all values.

    Examples:
        zne = ZneConfig(scales=[1, 1.5, 2], extrapolation="exponential")
        assert zne.folding == "global"
    """

    scales: tuple[float, ...] = (1.0, 2.0, 3.0)
    folding: Literal["global", "local"] = "global"
    extrapolation: Literal["linear", "exponential", "richardson"] = "linear"

    @field_validator("scales")
    @classmethod
    def _can_be_extrapolated(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        below = [scale for scale in scales if scale < 1.0]
        if below:
            raise ConfigError(
                "folding adds noise, it cannot take any away",
                value=below[0],
                fix="Take scales of 1 or more, for example [1, 2, 3].",
            )
        if len(set(scales)) < len(scales):
            raise ConfigError("a scale is given twice", value=list(scales), fix="Give it once.")
        if len(scales) < _LEAST:
            raise ConfigError(
                f"an extrapolation needs at least {_LEAST} scales",
                value=list(scales),
                fix="Take for example [1, 2, 3].",
            )
        return scales


class MitigationCost(NamedTuple):
    """How many times the work of a plain evaluation.

    Attributes:
        circuits: that run.
        shots: in all.
        gates: that the circuits have in all.
        calibration_circuits: that run once for each circuit, besides.
    """

    circuits: float = 1.0
    shots: float = 1.0
    gates: float = 1.0
    calibration_circuits: int = 0

    def times(self, other: MitigationCost) -> MitigationCost:
        """The cost of one wrapper around another."""
        return MitigationCost(
            self.circuits * other.circuits,
            self.shots * other.shots,
            self.gates * other.gates,
            self.calibration_circuits + other.calibration_circuits,
        )


class MitigationConfig(Config):
    """What is done against the noise of a backend; each field is one technique.

    Args:
        readout: `inverse` inverts the confusion matrix of each qubit in the observables;
            `matrix_free` solves for the distribution over the bit strings that were read, for a
            backend that gives counts.
        calibration: where confusion matrices come from: `noise`, the backend's own noise;
            `circuits`, two circuits that prepare all qubits in 0 and in 1.
        calibration_shots: of each of the two circuits, if the backend takes shots.
        zne: zero-noise extrapolation; `true` for its defaults.
        twirl: random instances of each circuit, with Pauli gates around each Clifford gate of two
            qubits. They share the shots.
        during: `test` mitigates the scores of test rows; `always` training and validation too.

    Examples:
        mitigation = MitigationConfig(readout="inverse", zne={"scales": [1, 3]}, twirl=4)
        assert mitigation.cost().circuits == 8
    """

    readout: Literal["inverse", "matrix_free"] | None = None
    calibration: Literal["noise", "circuits"] = "noise"
    calibration_shots: int = Field(default=10_000, ge=1)
    zne: ZneConfig | None = None
    twirl: int | None = Field(default=None, ge=1)
    during: Literal["test", "always"] = "test"

    @field_validator("zne", mode="before")
    @classmethod
    def _defaults(cls, zne: Any) -> Any:
        return ZneConfig() if zne is True else None if zne is False else zne

    @model_validator(mode="after")
    def _does_something(self) -> MitigationConfig:
        if self.readout is None and self.zne is None and self.twirl is None:
            raise ConfigError(
                "no technique is chosen",
                fix='Set readout = "inverse", zne = true or twirl = 8; or leave mitigation out.',
            )
        return self

    def check_source(self, *, has_noise: bool, shots: int | None) -> None:
        """Raise unless there is something to mitigate, and what the techniques need.

        Raises:
            ConfigError: neither noise nor shots; no counts; no known confusion matrices.
        """
        if not has_noise and shots is None:
            raise ConfigError(
                "there is nothing to mitigate: the backend is exact",
                field="mitigation",
                value=[name for name in ("readout", "zne", "twirl") if getattr(self, name)],
                fix="Set trainer.noise, for example noise = { readout = 0.02 }; or take backend = "
                "'aer' with backend_options = { shots = 1024 }; or leave mitigation out.",
            )
        if self.readout == "matrix_free" and shots is None:
            raise ConfigError(
                "matrix_free needs the bit strings of shots, and the backend is exact",
                field="mitigation.readout",
                value=self.readout,
                fix="Take readout = 'inverse', or backend = 'aer' with "
                "backend_options = { shots = 1024 }.",
            )
        if self.readout is not None and self.calibration == "noise" and not has_noise:
            raise ConfigError(
                "the confusion matrices of a backend without a noise are not known",
                field="mitigation.calibration",
                value=self.calibration,
                fix="Take calibration = 'circuits', which measures them.",
            )

    def cost(self) -> MitigationCost:
        """The cost of all techniques together, in multiples of an evaluation without them."""
        found = MitigationCost()
        if self.readout is not None:
            found = found.times(readout_cost(self))
        if self.twirl is not None:
            found = found.times(twirl_cost(self.twirl))
        if self.zne is not None:
            found = found.times(zne_cost(self.zne))
        return found


def readout_cost(config: MitigationConfig) -> MitigationCost:
    """Nothing but calibration circuits."""
    return MitigationCost(calibration_circuits=2 * (config.calibration == "circuits"))


def twirl_cost(instances: int) -> MitigationCost:
    """As many circuits as instances, which share the shots."""
    return MitigationCost(circuits=instances, gates=instances)


def zne_cost(config: ZneConfig) -> MitigationCost:
    """A circuit with its shots at each scale, and as many times the gates as the scales say."""
    n = len(config.scales)
    return MitigationCost(circuits=n, shots=n, gates=sum(config.scales))
