"""The model card, with the sections of Mitchell et al. 2019, "Model Cards for Model Reporting".

`qstore export --card` writes a card of a model file, to be handed on with it. This one has the
published sections in their order, each fact with its source, and asks what a run cannot know.
"""

from __future__ import annotations

from collections.abc import Iterator

from qstore_ray.learn.privacy.statement import statement_text
from qstore_ray.ops.compliance.document import (
    DocumentPart,
    DocumentSection,
    StatedFact,
    StatedTable,
    section_of,
)
from qstore_ray.ops.compliance.evidence import RunEvidence, shown
from qstore_ray.track.reading.statistics import wilson_interval
from qstore_ray.train.report.execution import PARTS, execution, ways

FOLLOWS = (
    'Mitchell et al., "Model Cards for Model Reporting", FAT* 2019, doi:10.1145/3287560.3287596'
)
_RECORD = "run.json: metrics"
_RESULTS = "run.json: metrics, and the newest epoch of metrics.jsonl"
_MANIFEST = "checkpoint manifest"
_SPLITS = {
    "val_accuracy": "val",
    **{f"{scored}_accuracy": "test" for scored in (*PARTS, "baseline", "majority")},
}
_MOST_CLASSES = 50
_TERMS = {
    "unit": "what one of is protected",
    "neighbours": "neighbours",
    "accountant": "accountant",
    "noise_multiplier": "noise multiplier σ",
    "clip": "clip",
    "sample_rate": "sample rate",
    "releases": "noisy sums",
}


def model_card_part(evidence: RunEvidence) -> DocumentPart:
    """The nine sections of a model card."""
    sections = (
        _details(evidence),
        _use(),
        _factors(evidence),
        _metrics(evidence),
        _evaluation(evidence),
        _training(evidence),
        _analyses(evidence),
        _ethics(evidence),
        _caveats(evidence),
    )
    return DocumentPart("model_card", "Model card", sections, FOLLOWS)


def _details(evidence: RunEvidence) -> DocumentSection:
    summary, model, about = evidence.facts.summary, evidence.facts.model, evidence.model
    manifest = evidence.manifest
    step = None if manifest is None else manifest["step"]
    epoch = None if manifest is None else manifest.get("epoch")
    facts = [
        StatedFact("run", summary.name, "name of the run folder"),
        StatedFact("started", evidence.began(), "run.json: attempts"),
        StatedFact("newest attempt started", evidence.record.started, "run.json: started"),
        StatedFact("status", summary.status, "run.json: status, and who holds the lock"),
        StatedFact("version of the package", evidence.record.versions.get("qstore-ray"),
                   "run.json: versions"),
        StatedFact("kind", about.task if about else None, _MANIFEST),
        StatedFact("circuit", model.circuit if model else None, _MANIFEST),
        StatedFact("qubits", model.template.n_qubits if model else None, _MANIFEST),
        StatedFact("gates", len(model.template.ops) if model else None, _MANIFEST),
        StatedFact("trained parameters", model.n_parameters if model else None, _MANIFEST),
        StatedFact("loss", model.loss if model else None, _MANIFEST),
        StatedFact("step", step, _MANIFEST),
        StatedFact("epochs" if not evidence.is_federated else "rounds", epoch, _MANIFEST),
        evidence.said("optimizer", "trainer.optimizer"),
        evidence.said("learning rate", "trainer.learning_rate"),
        *_executed(evidence),
        *_federated(evidence),
    ]  # fmt: skip
    asked = [
        "Who is responsible for the model, and how can they be reached?",
        "Under which licence may the model be used?",
    ]
    return section_of("Model details", facts, questions=asked)


def _executed(evidence: RunEvidence) -> Iterator[StatedFact]:
    trainer = evidence.last_trainer()
    if not trainer:
        yield StatedFact("backend", None, "config.toml: trainer")
        return
    for name, value in execution(trainer):
        yield StatedFact(name, value, "config.toml: trainer")


def _federated(evidence: RunEvidence) -> Iterator[StatedFact]:
    """How the updates of clients become one model."""
    if evidence.options("federation"):
        for field in ("strategy", "local_epochs", "fraction", "secure_sum"):
            yield evidence.said(field.replace("_", " "), f"federation.{field}")


def _use() -> DocumentSection:
    asked = [
        "What is the model meant for, and who is meant to use it?",
        "Which uses are out of scope?",
    ]
    return section_of("Intended use", questions=asked)


def _factors(evidence: RunEvidence) -> DocumentSection:
    origin = evidence.origin
    classes = (origin.class_names if origin else list(evidence.facts.classes)) or None
    facts = [
        StatedFact("classes", shown(classes), _MANIFEST),
        *feature_facts(evidence),
    ]  # fmt: skip
    asked = (
        "Which groups, instruments or surroundings change how well it works, and are they in "
        "the data?"
    )
    return section_of("Factors", facts, questions=[asked])


def _metrics(evidence: RunEvidence) -> DocumentSection:
    trainer = evidence.setting("trainer.metrics")
    facts = [
        StatedFact("chosen metrics", shown(trainer) if trainer else None,
                   "config.toml: trainer.metrics"),
        StatedFact("verdict", evidence.facts.summary.verdict or None, "run.json: verdict"),
    ]  # fmt: skip
    missing = [(name, why) for name, why in sorted(evidence.facts.summary.missing.items())]
    table = StatedTable("Not defined", ("metric", "because"), tuple(missing), "run.json: missing")
    asked = ["Which score has the model to reach to be of use, and who decided that?"]
    return section_of("Metrics", facts, [table], asked)


def _evaluation(evidence: RunEvidence) -> DocumentSection:
    facts = [
        StatedFact(f"rows of {split}", evidence.rows_of(split), f"{_MANIFEST}: data")
        for split in ("val", "test")
    ]
    facts += [
        evidence.said("how rows were dealt out", "dataset.split"),
        evidence.said("in the same shares of each class", "dataset.stratify"),
        evidence.said("seed of the split", "dataset.seed"),
    ]
    asked = ["Why are these rows a fair sample of what the model will meet?"]
    return section_of("Evaluation data", facts, questions=asked)


def _training(evidence: RunEvidence) -> DocumentSection:
    prints = evidence.record.fingerprints
    facts = [
        StatedFact(
            "data set", shown(evidence.setting("dataset.name")), "config.toml: dataset.name"
        ),
        StatedFact("rows of train", evidence.rows_of("train"), f"{_MANIFEST}: data"),
        StatedFact("fingerprint of the data", prints.get("data"), "run.json: fingerprints"),
    ]
    shards = [
        (str(name), sum(counts))
        for start in evidence.events("start")[-1:]
        for name, counts in sorted(_shards(start.get("shards")).items())
    ]
    table = StatedTable("Clients", ("client", "rows"), tuple(shards), "metrics.jsonl: start")
    return section_of("Training data", facts, [table])


def feature_facts(evidence: RunEvidence) -> list[StatedFact]:
    """How many numbers a row has, before and after the preparation."""
    about = evidence.model
    return [
        StatedFact(
            "features of the data", about.input.n_features if about else None, f"{_MANIFEST}: input"
        ),
        StatedFact(
            "features after the preparation", about.n_features if about else None, _MANIFEST
        ),
    ]


def _shards(given: object) -> dict[str, list[int]]:
    """Rows of each class by client, as the start of a federation lists them."""
    if not isinstance(given, dict):
        return {}
    return {
        str(name): counts
        for name, counts in given.items()
        if isinstance(counts, list) and all(isinstance(count, int) for count in counts)
    }


def _analyses(evidence: RunEvidence) -> DocumentSection:
    metrics = evidence.metrics
    scores = [(name, value, _interval(evidence, name)) for name, value in metrics.items()]
    results = StatedTable(
        "Results", ("metric", "value", "95 % interval (Wilson)"), tuple(scores), _RESULTS
    )
    recalls = [
        (name.removeprefix("test_recall_").replace("_", " "), value,
         metrics.get(f"baseline_{name.removeprefix('test_')}"))
        for name, value in metrics.items() if name.startswith("test_recall_")
    ][:_MOST_CLASSES]  # fmt: skip
    by_class = StatedTable(
        "By class", ("class", "recall", "recall of the baseline"), tuple(recalls), _RECORD
    )
    facts = [
        StatedFact("results", len(scores) or None, _RESULTS),
        StatedFact("results by class", len(recalls) or None, _RECORD),
        *(StatedFact(f"{part} was scored", said, "config.toml: trainer")
          for part, said in ways(evidence.last_trainer()).items()
          if f"{part}_loss" in metrics),
    ]  # fmt: skip
    return section_of("Quantitative analyses", facts, [results, by_class])


def _interval(evidence: RunEvidence, name: str) -> str | None:
    """Of the accuracy of a split whose rows did not take part in training."""
    split = _SPLITS.get(name)
    n = evidence.rows_of(split) if split else None
    value = evidence.metrics[name]
    if not n or not 0.0 <= value <= 1.0:
        return None
    found = wilson_interval(round(value * n), n)
    return f"{found.low:.4f} to {found.high:.4f}, n = {n}"


def _ethics(evidence: RunEvidence) -> DocumentSection:
    said = evidence.facts.privacy
    claim = None if said is None else statement_text(said)
    facts = [StatedFact("differential privacy", claim, "privacy.json")]
    is_claimed = said is not None and said.epsilon is not None
    terms = said.model_dump(include=set(_TERMS)) if said and is_claimed else {}
    facts += [
        StatedFact(name, shown(terms[field]), f"privacy.json: {field}")
        for field, name in _TERMS.items()
        if field in terms
    ]
    outside = tuple((each,) for each in said.outside) if said else ()
    table = StatedTable("Outside the claim", ("what",), outside, "privacy.json: outside")
    asked = [
        "Do the data describe people, and did they agree to this use?",
        "Which harm could a wrong answer do, and to whom?",
    ]
    return section_of("Ethical considerations", facts, [table], asked)


def _caveats(evidence: RunEvidence) -> DocumentSection:
    facts = [
        StatedFact("ended because", evidence.facts.summary.reason or None, "metrics.jsonl: end"),
        StatedFact("warnings", len(evidence.events("warning")), "metrics.jsonl"),
        StatedFact("files that cannot be read", len(evidence.problems), "run folder"),
    ]
    asked = ["What should be tried before the model is used for anything new?"]
    return section_of("Caveats and recommendations", facts, questions=asked)
