"""The points of the maturity model that a run answers: the answer, the evidence, and its source."""

from __future__ import annotations

import math
from typing import Final, TypeAlias

from qstore_ray.learn.privacy.statement import statement_text
from qstore_ray.ops.compliance.checks import by_severity
from qstore_ray.ops.compliance.document import MET, NOT_MET, UNKNOWN, PointAnswer
from qstore_ray.ops.compliance.evidence import RunEvidence
from qstore_ray.ops.compliance.repeat import obstacles
from qstore_ray.ops.compliance.risks_of_data import is_weak, seeded_noise
from qstore_ray.track.logs.text import is_number

Answered: TypeAlias = tuple[PointAnswer, str, str]

_MANIFEST: Final = "checkpoint manifest"
_METRICS: Final = "run.json: metrics"
_INFINITE: Final = "NaN or infinite"
"""Words of the error with which a training ends whose numbers are no longer finite."""
SLOWER: Final = 1.5
"""Times the seconds of a twin from which a training counts as slower."""


def schema(evidence: RunEvidence) -> Answered:
    """Names and kinds of the columns, or the shape of the images."""
    model = evidence.model
    if model is None:
        return UNKNOWN, "no readable checkpoint describes the input", _MANIFEST
    if model.input.table is not None:
        features = model.input.table.features
        kinds = sorted({each.kind for each in features})
        said = f"{len(features)} columns with names and kinds ({', '.join(kinds)})"
        return MET, said, f"{_MANIFEST}: input"
    if model.input.image_shape is not None:
        return MET, f"images of the shape {model.input.image_shape}", f"{_MANIFEST}: input"
    said = f"only the number of features is recorded: {model.n_features}"
    return NOT_MET, said, f"{_MANIFEST}: input"


def private(evidence: RunEvidence) -> Answered:
    """A claim of differential privacy that the register of risks has nothing against."""
    said = evidence.facts.privacy
    if said is None:
        why = "the training was not private, and whether the data need it is not recorded"
        return UNKNOWN, why, "privacy.json"
    seeded = seeded_noise(evidence)
    if seeded:
        return NOT_MET, "whoever knows the seed can subtract the noise", f"config.toml: {seeded[0]}"
    return (NOT_MET if is_weak(said) else MET), statement_text(said), "privacy.json"


def committed(evidence: RunEvidence) -> Answered:
    """The commit of the newest attempt; a review is known to nobody here."""
    commits = [str(each["commit"]) for each in evidence.attempts() if "commit" in each]
    source = "run.json: attempts"
    if not commits:
        return UNKNOWN, "no commit is recorded", source
    if commits[-1].endswith("-dirty"):
        return NOT_MET, f"tracked files differed from the commit {commits[-1]}", source
    return UNKNOWN, f"commit {commits[-1]}; whether it was reviewed is not recorded", source


def searched(evidence: RunEvidence) -> Answered:
    """The study around the run."""
    search = evidence.search
    if search is None:
        return NOT_MET, "the run is not part of a recorded search", "run folder"
    completed = search.statuses.get("completed", 0)
    said = f"{completed} completed trials over {', '.join(search.fields) or 'no field'}"
    return (MET if completed > 1 and search.fields else NOT_MET), said, f"study {search.study}"


def beats_simple(evidence: RunEvidence) -> Answered:
    """The verdict against the baseline on the same test rows."""
    verdict, source = evidence.facts.summary.verdict, "run.json: verdict"
    if not verdict:
        return UNKNOWN, "no simple model was compared with", source
    return (MET if verdict.startswith("better") else NOT_MET), f"it is {verdict}", source


def by_class(evidence: RunEvidence) -> Answered:
    """The recall of each class against a guess."""
    recalls = {
        name.removeprefix("test_recall_"): value
        for name, value in evidence.metrics.items()
        if name.startswith("test_recall_")
    }
    if not recalls:
        return UNKNOWN, "no score of a part of the test rows is recorded", _METRICS
    worst = min(recalls, key=lambda name: recalls[name])
    guess = 1.0 / len(recalls)
    said = f"lowest recall {recalls[worst]:.4f} ({worst}), a guess has {guess:.4f}"
    if recalls[worst] > guess:
        return UNKNOWN, f"{said}; what would be good enough is not recorded", _METRICS
    return NOT_MET, said, _METRICS


def repeated(evidence: RunEvidence) -> Answered:
    """A twin run with the same numbers to the last digit."""
    compared = [twin for twin in evidence.twins if twin.compared]
    equal = [twin for twin in compared if not twin.differing]
    if equal:
        twin = equal[0]
        said = f"the run {twin.name} has the same {twin.compared} results to the last digit"
        return (MET if len(equal) == len(compared) else NOT_MET), said, "run.json of both"
    if compared:
        twin = compared[0]
        said = f"the run {twin.name} differs in {len(twin.differing)} of {twin.compared} results"
        return NOT_MET, said, "run.json of both"
    against = obstacles(evidence)
    if against:
        return NOT_MET, "; ".join(against), "config.toml"
    return UNKNOWN, "it was not trained a second time in this folder of runs", "run folder"


def scored(evidence: RunEvidence) -> Answered:
    """Scores of the test rows, in a run that finished."""
    scores = [name for name in evidence.metrics if name.startswith("test_")]
    if evidence.facts.summary.status != "finished" or not scores:
        said = f"status {evidence.facts.summary.status}, {len(scores)} scores of test rows"
        return NOT_MET, said, "run.json"
    n = evidence.scored_rows()
    rows = f" on {n} test rows" if n else ""
    return MET, f"{len(scores)} scores{rows} are recorded with the model", _METRICS


def debuggable(evidence: RunEvidence) -> Answered:
    """Records of the epochs, and a checkpoint that can be read."""
    epochs = len(evidence.events("epoch"))
    sound = [each for each in evidence.facts.checkpoints if each["problem"] is None]
    said = f"{epochs} records of epochs, {len(sound)} sound checkpoints"
    answer: PointAnswer = MET if epochs and sound else NOT_MET
    return answer, said, "metrics.jsonl, checkpoints"


def earlier_model(evidence: RunEvidence) -> Answered:
    """Models that the run has kept besides the last one."""
    kept = len(evidence.facts.models)
    sound = sum(each["problem"] is None for each in evidence.facts.checkpoints)
    said = f"{sound} sound checkpoints and {kept} kept models; what serves is not recorded"
    return UNKNOWN, said, "checkpoints, models/index.json"


def same_data(evidence: RunEvidence) -> Answered:
    """The fingerprint of the data, loaded again."""
    check = evidence.data
    if check.same is None:
        return UNKNOWN, check.why or "the data were not loaded again", "this document"
    said = evidence.record.fingerprints.get("data", "")[:16]
    if check.same:
        return MET, f"loaded again, the data have the fingerprint {said}… of the run", "run.json"
    return NOT_MET, f"the data no longer have the fingerprint {said}… of the run", "run.json"


def invariants(evidence: RunEvidence) -> Answered:
    """The quality check of all splits against train."""
    findings = evidence.data.findings
    if findings is None:
        return UNKNOWN, evidence.data.why or "the data were not checked", "quality check"
    errors, warnings = (by_severity(findings, kind) for kind in ("error", "warning"))
    said = f"{len(errors)} errors and {len(warnings)} warnings in the splits of the run"
    return (NOT_MET if errors else MET), said, "quality check"


def no_skew(evidence: RunEvidence) -> Answered:
    """The saved model on the test rows, against what was recorded in training."""
    found, recorded = evidence.data.accuracy, evidence.metrics.get("test_accuracy")
    if found is None or recorded is None:
        why = evidence.data.why or "the saved model was not scored again"
        return UNKNOWN, why, "saved model"
    if evidence.last_trainer().get("backend") == "ibm":
        return UNKNOWN, "the device has measured the score, and a simulator the other one", _METRICS
    accuracy, n = found
    said = f"accuracy {accuracy:.6g} of the saved model on {n} test rows, {recorded:.6g} recorded"
    close = math.isclose(accuracy, recorded, rel_tol=0.0, abs_tol=0.5 / n)
    return (MET if close else NOT_MET), said, "saved model, run.json: metrics"


def finite(evidence: RunEvidence) -> Answered:
    """All numbers of all records."""
    records = evidence.facts.records
    reason = evidence.facts.summary.reason
    if _INFINITE in reason:
        return NOT_MET, reason, "metrics.jsonl: end"
    if not evidence.events("epoch"):
        return UNKNOWN, "no epoch is recorded", "metrics.jsonl"
    numbers = [v for record in records for v in record.values() if is_number(v) or v is None]
    bad = sum(value is None or not math.isfinite(value) for value in numbers)
    said = f"{bad} of {len(numbers)} recorded numbers are not finite"
    return (NOT_MET if bad else MET), said, "metrics.jsonl"


def speed(evidence: RunEvidence) -> Answered:
    """The seconds of the run against those of its twins."""
    seconds = evidence.metrics.get("train_seconds", evidence.facts.summary.seconds)
    if seconds is None:
        return UNKNOWN, "no time is recorded", _METRICS
    if evidence.resumed():
        return UNKNOWN, "it was resumed, and the seconds are those of its last attempt", _METRICS
    others = {twin.name: twin.seconds for twin in evidence.twins if twin.seconds}
    if not others:
        return UNKNOWN, f"{seconds:.1f} seconds, and no twin run to compare with", _METRICS
    name = min(others, key=lambda each: others[each])
    said = (
        f"{seconds:.1f} seconds, {others[name]:.1f} in the run {name}; up to {SLOWER:g} times "
        "counts as the same"
    )
    return (MET if seconds <= SLOWER * others[name] else NOT_MET), said, "run.json of both"
