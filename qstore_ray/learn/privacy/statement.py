"""What may be claimed of a private run, and what is outside the claim."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict

NEIGHBOURS: Final = {
    "poisson": "data sets of which one has one row more (add or remove)",
    "shuffle": "data sets that differ in one row, which in one of them adds nothing (zero-out)",
}
SAMPLING: Final = {
    "poisson": "Poisson: each row joins each step by a coin of its own",
    "shuffle": "each row once an epoch, in shuffled batches; no amplification is claimed",
}
ACCOUNTANT: Final = "Rényi differential privacy of the subsampled Gaussian, closed form"
ALWAYS_OUTSIDE: Final = (
    "preprocessing that was fitted on these rows: scaling, categories, projection",
    "the choice of hyperparameters by runs on the same rows",
    "early stopping and the choice of a checkpoint by a score",
    "the loss, accuracy and gradient norm of train that each epoch records",
    "the rows of val and test, which are scored without noise",
    "checkpoints: while a run is under way the key of its noise lies beside them",
)


class PrivacyStatement(BaseModel):
    """The claim of a run, as `privacy.json` holds it.

    Attributes:
        epsilon: ε spent; None if nothing is claimed, `why` then says why. delta: δ.
        limit: the ε that the run was allowed, if any.
        noise_multiplier: σ. clip: C, None without clipping. sample_rate: q.
        releases: noisy sums that were taken, over which the accountant composes.
        ended_early: whether the run ended because the next step would have spent too much.
        outside: what the claim is not about.
        unit: what one of is protected: a row, or a client of a federation, which `rows` counts.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    epsilon: float | None
    delta: float
    limit: float | None
    why: str
    noise_multiplier: float
    clip: float | None
    sample_rate: float
    rows: int
    releases: int
    neighbours: str
    sampling: str
    accountant: str
    ended_early: bool
    outside: list[str]
    unit: str = "row"


def statement_text(said: PrivacyStatement) -> str:
    """The claim in one line."""
    if said.epsilon is None:
        return f"none claimed: {said.why}"
    limit = "" if said.limit is None else f" of {said.limit:g}"
    ended = "; ended before the step that would spend more" if said.ended_early else ""
    return f"ε = {said.epsilon:.4g}{limit} at δ = {said.delta:g}, {said.sampling}{ended}"
