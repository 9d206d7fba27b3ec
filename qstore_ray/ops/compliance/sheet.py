"""The data sheet, with the sections of Gebru et al. 2018, "Datasheets for Datasets".

A run knows what its configuration, the fingerprint and the quality check say of the data. Why and
how they were collected, and whether people agreed, only their owner knows: those are questions.
"""

from __future__ import annotations

from qstore_ray.ops.compliance.card import feature_facts
from qstore_ray.ops.compliance.checks import by_severity
from qstore_ray.ops.compliance.document import (
    DocumentPart,
    DocumentSection,
    StatedFact,
    StatedTable,
    StatedValue,
    section_of,
)
from qstore_ray.ops.compliance.evidence import RunEvidence, shown

FOLLOWS = 'Gebru et al., "Datasheets for Datasets", arXiv:1803.09010 (2018), CACM 64(12) 2021'
_MANIFEST = "checkpoint manifest: data"
_NOW = "measured when this document was written"
_MOST_FINDINGS, _MOST_COLUMNS = 100, 200


def data_sheet_part(evidence: RunEvidence) -> DocumentPart:
    """The seven sections of a data sheet."""
    sections = (
        _motivation(evidence),
        _composition(evidence),
        _collection(evidence),
        _preparation(evidence),
        _uses(),
        _distribution(evidence),
        _maintenance(evidence),
    )
    return DocumentPart("data_sheet", "Data sheet", sections, FOLLOWS)


def _motivation(evidence: RunEvidence) -> DocumentSection:
    asked = ["For what purpose were the data made, by whom, and who paid for it?"]
    return section_of("Motivation", [evidence.said("name", "dataset.name")], questions=asked)


def _composition(evidence: RunEvidence) -> DocumentSection:
    origin = evidence.origin
    sizes = origin.sizes if origin else {}
    facts = [
        StatedFact("task", shown(evidence.setting("dataset.task")), "config.toml: dataset.task"),
        StatedFact("rows", sum(sizes.values()) if sizes else None, _MANIFEST),
        *feature_facts(evidence),
        StatedFact(
            "fingerprint", evidence.record.fingerprints.get("data"), "run.json: fingerprints"
        ),
        *_checked(evidence),
    ]
    asked = [
        "What is one row, and how were the rows chosen from all that exist?",
        "Is anything in the data confidential, or about people who could be recognised?",
    ]
    return section_of("Composition", facts, [_splits(evidence), _columns(evidence),
                                             _findings(evidence)], asked)  # fmt: skip


def _splits(evidence: RunEvidence) -> StatedTable:
    origin = evidence.origin
    names = tuple(origin.class_names) if origin else ()
    rows: list[tuple[StatedValue, ...]] = []
    for split, size in origin.sizes.items() if origin else ():
        counts = origin.class_counts.get(split, []) if origin else []
        known = counts if len(counts) == len(names) else [None] * len(names)
        rows.append((split, size, *known))
    return StatedTable("Splits and classes", ("split", "rows", *names), tuple(rows), _MANIFEST)


def _columns(evidence: RunEvidence) -> StatedTable:
    columns = evidence.model.input.table if evidence.model else None
    rows = [
        (each.name, each.kind, len(each.categories) or None)
        for each in (columns.features if columns else [])[:_MOST_COLUMNS]
    ]
    return StatedTable(
        "Columns", ("column", "kind", "categories"), tuple(rows), "checkpoint manifest: input"
    )


def _checked(evidence: RunEvidence) -> list[StatedFact]:
    check = evidence.data
    if check.findings is None:
        return [StatedFact("quality check", None, check.why or "the data were not loaded again")]
    counts = {
        severity: len(by_severity(check.findings, severity))
        for severity in ("error", "warning", "info")
    }
    said = ", ".join(f"{number} {name}" for name, number in counts.items())
    return [StatedFact("quality check", f"findings: {said}", _NOW)]


def _findings(evidence: RunEvidence) -> StatedTable:
    rows = [
        (each.severity, each.check, each.field or None, each.message, each.fix or None)
        for each in (evidence.data.findings or ())[:_MOST_FINDINGS]
    ]
    head = ("severity", "check", "column", "found", "fix")
    return StatedTable("Findings of the quality check", head, tuple(rows), _NOW)


def _collection(evidence: RunEvidence) -> DocumentSection:
    provenance = evidence.origin.provenance if evidence.origin else {}
    facts = [
        StatedFact(
            "source", shown(evidence.setting("dataset.source")), "config.toml: dataset.source"
        ),
        evidence.said("revision", "dataset.revision"),
        *(StatedFact(f"provenance: {k}", v, _MANIFEST) for k, v in provenance.items()),
    ]
    asked = [
        "How and when were the data collected, and did the people in them know and agree?",
        "Was the collection reviewed, for example by an ethics board?",
    ]
    return section_of("Collection process", facts, questions=asked)


def _preparation(evidence: RunEvidence) -> DocumentSection:
    about = evidence.model
    steps = about.preparation.steps if about else []
    rows = [
        (number, step.name, shown(step.model_extra or {})) for number, step in enumerate(steps, 1)
    ]
    facts = [
        StatedFact("steps, fitted on train", len(steps) if about else None, "checkpoint manifest"),
        evidence.said("bad values", "dataset.bad_values"),
        evidence.said("rare classes", "dataset.rare_classes"),
        evidence.said("choice of rows", "dataset.select"),
        evidence.said("augmentation", "dataset.augmentation"),
    ]
    table = StatedTable(
        "Steps", ("step", "name", "options"), tuple(rows), "checkpoint manifest: preparation"
    )
    asked = ["Who labelled the rows, how, and how often do two people agree on a label?"]
    return section_of("Preprocessing, cleaning, labelling", facts, [table], asked)


def _uses() -> DocumentSection:
    asked = [
        "For what else were the data used, and for what should they not be used?",
    ]
    return section_of("Uses", questions=asked)


def _distribution(evidence: RunEvidence) -> DocumentSection:
    asked = ["Under which licence or contract may the data be used and passed on?"]
    facts = [evidence.said("source parameters", "dataset.params")]
    return section_of("Distribution", facts, questions=asked)


def _maintenance(evidence: RunEvidence) -> DocumentSection:
    check = evidence.data
    same = {True: "the same as when the run was trained", False: "changed", None: None}[check.same]
    facts = [StatedFact("loaded again", same, _NOW if check.same else check.why or _NOW)]
    asked = ["Who maintains the data, how are errors corrected, and how long are they kept?"]
    return section_of("Maintenance", facts, questions=asked)
