"""`qstore privacy`: what private runs claim, and attacks on the claim."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.output import AsJson, Storage, examples, facts, say, say_json

if TYPE_CHECKING:
    from qstore_ray.train.audit.audit import PrivacyAudit

app = typer.Typer(
    help="Audit what private runs claim.",
    epilog=examples("privacy audit digits"),
)


@app.callback()
def _privacy() -> None:
    pass


@app.command(
    "audit",
    epilog=examples("privacy audit digits", "privacy audit digits --canaries 2000 --json"),
)
def audit(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name, or its folder.")],
    canaries: Annotated[
        int,
        typer.Option(min=20, metavar="M", help="Canaries; more of them can refute a larger ε."),
    ] = 500,
    storage: Storage = "runs",
    as_json: AsJson = False,
) -> None:
    """Attack a private run: train its settings with canaries, and test its model by losses.

    It fails (exit code 1) if an attack refutes the run's claim. That none does proves nothing:
    the largest ε that the guesses could have refuted is printed beside the bound.
    """
    from qstore_ray.cli.shared.reopen import dataset_of
    from qstore_ray.errors import RunError
    from qstore_ray.train.audit.audit import audit_run
    from qstore_ray.train.run.find import find_run

    folder = find_run(run, storage)
    with contextlib.redirect_stdout(sys.stderr):
        found = audit_run(folder, dataset_of(folder), canaries=canaries)
    if as_json:
        say_json(_as_dict(folder.name, found))
    else:
        say(_as_text(found))
    if found.faults:
        raise RunError(
            f"the claim of this run is refuted: {'; '.join(found.faults)}",
            field="run",
            value=folder.name,
            fix="Do not publish the model, and report the fault with the run's config.toml.",
        )


def _as_dict(name: str, found: PrivacyAudit) -> dict[str, Any]:
    mechanism = found.mechanism._asdict()
    mechanism["found"] = found.mechanism.found._asdict()
    by_losses = None if found.membership is None else found.membership._asdict()
    return {
        "name": name,
        "refuted": bool(found.faults),
        "faults": found.faults,
        "claim": found.claim.model_dump(),
        "mechanism": mechanism,
        "membership": by_losses,
    }


def _as_text(found: PrivacyAudit) -> str:
    from qstore_ray.learn.privacy.statement import statement_text

    seen, by_losses = found.mechanism, found.membership
    right = f"{seen.found.right} of {seen.found.made} guesses right, {seen.canaries} canaries"
    lines = [
        ("claim", statement_text(found.claim)),
        ("canaries", f"ε ≥ {seen.bound:.3g} at 95 % confidence ({right})"),
        ("limit", f"the guesses could have refuted ε up to {seen.limit:.3g}, and nothing above"),
        ("area", f"{seen.area:.3f}, expected {seen.expected:.3f} ± {seen.error:.3f}"),
    ]
    if seen.participation is not None and seen.sizes is not None:
        said = f"rows p = {seen.participation:.2g}, batch sizes p = {seen.sizes:.2g}"
        lines.append(("sampling", said))
    if by_losses is not None:
        said = (
            f"area {by_losses.area:.3f} ± {by_losses.error:.3f}, the claim allows "
            f"{by_losses.largest:.3f}; {by_losses.at_one_percent:.1%} found at 1 % false alarms"
        )
        lines.append(("losses", said))
    lines.append(("result", "; ".join(found.faults) or "nothing refutes the claim"))
    return facts(lines)
