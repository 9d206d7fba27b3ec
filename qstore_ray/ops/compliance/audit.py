"""The audit log: who, what and when, as far as the run folder knows, with hashes of what was made.

No run records the name of its user by itself, since that is personal data. `track.tags.user` of a
job is written by whoever wants to be named. Records of metrics.jsonl have no time of their own;
they are listed in the order of writing, between the times of their attempts.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from qstore_ray.ops.compliance.document import (
    DocumentPart,
    DocumentSection,
    StatedFact,
    StatedTable,
    StatedValue,
    section_of,
)
from qstore_ray.ops.compliance.evidence import RunEvidence, shown
from qstore_ray.track.logs.text import leaves
from qstore_ray.types import Table

_MOST_EVENTS = 200
_MINIMAL = {"event", "message", "generation", "status"}


def audit_part(evidence: RunEvidence) -> DocumentPart:
    """Who and what, the attempts, the events, and the hashes."""
    sections = (_who(evidence), _attempts(evidence), _events(evidence), _hashes(evidence))
    return DocumentPart("audit_log", "Audit log", sections)


def _who(evidence: RunEvidence) -> DocumentSection:
    tags = evidence.options("track.tags")
    rows = tuple((str(name), shown(value)) for name, value in sorted(tags.items()))
    facts = [
        StatedFact("user", shown(tags.get("user")), "config.toml: track.tags.user"),
        StatedFact("id of the run", shown(evidence.stored.get("id")), "run.json: id"),
        StatedFact("name", shown(evidence.stored.get("name")), "run.json: name"),
        evidence.said("budget", "trainer.backend_options.budget"),
    ]
    if evidence.search is not None:
        search = evidence.search
        facts += [
            StatedFact("search", search.study, "name of the study's folder"),
            StatedFact("part in the search", search.role, "study"),
            StatedFact("trials of the search", search.trials, "study"),
        ]
    table = StatedTable("Tags", ("tag", "value"), rows, "config.toml: track.tags")
    return section_of("Who and what", facts, [table])


def _attempts(evidence: RunEvidence) -> DocumentSection:
    rows = [
        (
            shown(each.get("generation")),
            shown(each.get("started")),
            shown(each.get("ended")),
            _status(evidence, each),
            shown(each.get("machine")),
            shown(each.get("commit")),
            shown(each.get("packages")),
        )
        for each in evidence.attempts()
    ]
    facts = [
        StatedFact("attempts", evidence.record.generation, "run.json: generation"),
        StatedFact("attempts with a time", len(rows) or None, "run.json: attempts"),
        StatedFact("resumed from a checkpoint", evidence.resumed(), "metrics.jsonl: start"),
    ]
    head = ("attempt", "started (UTC)", "ended (UTC)", "status", "machine", "commit", "packages")
    return section_of(
        "Attempts", facts, [StatedTable("Attempts", head, tuple(rows), "run.json: attempts")]
    )


def _status(evidence: RunEvidence, attempt: Table) -> StatedValue:
    """How an attempt ended: one that was killed could not write it down."""
    status = attempt.get("status")
    if status != "running":
        return shown(status)
    is_newest = attempt.get("generation") == evidence.record.generation
    return evidence.facts.summary.status if is_newest else "killed"


def _events(evidence: RunEvidence) -> DocumentSection:
    rows = list(_told(evidence))
    alerts = [
        (_time(each.opened), None if each.closed is None else _time(each.closed), each.severity,
         each.rule, each.message)
        for each in evidence.alerts or ()
    ]  # fmt: skip
    facts = [
        StatedFact("events", len(rows), "metrics.jsonl"),
        StatedFact("alerts", None if evidence.alerts is None else len(alerts), "alerts.jsonl"),
    ]
    tables = [
        StatedTable("Events, in the order of writing", ("event", "attempt or step", "what"),
                    tuple(rows[:_MOST_EVENTS]), "metrics.jsonl"),
        StatedTable("Alerts", ("opened (UTC)", "closed (UTC)", "severity", "rule", "message"),
                    tuple(alerts), "alerts.jsonl"),
    ]  # fmt: skip
    return section_of("Events", facts, tables)


def _told(evidence: RunEvidence) -> Iterator[tuple[StatedValue, ...]]:
    for record in evidence.facts.records:
        kind = str(record.get("event"))
        if kind not in {"start", "warning", "note", "end"}:
            continue
        rest = {name: value for name, value in record.items() if name not in _MINIMAL}
        flat = ", ".join(f"{name} {shown(value)}" for name, value in leaves(rest))
        message = str(record.get("message") or record.get("status") or "")
        place = record.get("generation", record.get("step"))
        yield kind, shown(place), shown(". ".join(part for part in (message, flat) if part))


def _hashes(evidence: RunEvidence) -> DocumentSection:
    prints = evidence.record.fingerprints
    members = evidence.manifest["members"] if evidence.manifest else {}
    began = evidence.stored.get("init_from")
    first = [(f"initial parameters, from {began.get('from')}", shown(began.get("sha256")))
             ] if isinstance(began, dict) else []  # fmt: skip
    clients = evidence.stored.get("clients")
    owners = [(f"rows of {name}", shown(entry.get("digest")))
              for name, entry in sorted(clients.items()) if isinstance(entry, dict)
              ] if isinstance(clients, dict) else []  # fmt: skip
    facts = [
        StatedFact("configuration", prints.get("configuration"), "run.json: fingerprints"),
        StatedFact("data", prints.get("data"), "run.json: fingerprints"),
        StatedFact("newest checkpoint", members.get("arrays.npz"), "checkpoint manifest: members"),
    ]
    table = StatedTable(
        "SHA-256 of the files, by their paths in the run folder", ("file", "digest"),
        tuple(evidence.digests.items()), "the files, when this document was written",
    )  # fmt: skip
    elsewhere = StatedTable(
        "SHA-256 of what the run began with", ("of", "digest"), (*first, *owners), "run.json"
    )
    kept = [(each["name"], each["epoch"], each["step"], each["problem"] or "sound")
            for each in evidence.facts.checkpoints]  # fmt: skip
    state = StatedTable(
        "Checkpoints, verified when this document was written",
        ("checkpoint", "epochs", "step", "state"), tuple(kept), "checkpoints",
    )  # fmt: skip
    return section_of("Hashes", facts, [table, elsewhere, state])


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
