"""`compliance.html` and `compliance.json`: what a run is, what it is not, and what nobody knows.

    write_compliance(folder, check_data(dataset, confusion))

The document is written from the run folder, the study around it, the log of alerts and the runs
beside it. What it says of the data and of the saved model is measured by the caller, who has loaded
them. Runs in the driver's process; nothing of the run is changed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from qstore_ray.files import expanded
from qstore_ray.ops.compliance.audit import audit_part
from qstore_ray.ops.compliance.card import model_card_part
from qstore_ray.ops.compliance.checks import DataCheck
from qstore_ray.ops.compliance.document import PAGE, TABLE, ComplianceDocument
from qstore_ray.ops.compliance.evidence import gather_evidence
from qstore_ray.ops.compliance.page import rendered
from qstore_ray.ops.compliance.repeat import repeat_part
from qstore_ray.ops.compliance.risks import register
from qstore_ray.ops.compliance.rubric import MODEL, answered
from qstore_ray.ops.compliance.sheet import data_sheet_part
from qstore_ray.track.attempt import now
from qstore_ray.track.base import write_atomically


class WrittenCompliance(NamedTuple):
    """The document, and the two files that it was written to."""

    document: ComplianceDocument
    page: Path
    table: Path


def compliance_of(folder: Path, data: DataCheck | None = None) -> ComplianceDocument:
    """The compliance document of the run in this folder.

    Args:
        data: what was measured of the data, see `check_data`; None if they were not loaded.

    Raises:
        RunError: run.json is missing or damaged.
    """
    evidence = gather_evidence(folder, data or DataCheck(why="the data were not loaded again"))
    parts = (
        model_card_part(evidence),
        data_sheet_part(evidence),
        audit_part(evidence),
        repeat_part(evidence),
    )
    return ComplianceDocument(
        run=evidence.facts.summary.name,
        written=now(),
        parts=parts,
        risks=register(evidence),
        points=answered(evidence),
        rubric=MODEL,
    )


def write_compliance(folder: str | Path, data: DataCheck | None = None) -> WrittenCompliance:
    """Write the document into the run folder, as HTML and as JSON; see `compliance_of`.

    Raises:
        RunError: run.json is missing or damaged, or the folder cannot be written to.
    """
    run_dir = expanded(folder)
    found = compliance_of(run_dir, data)
    page, table = run_dir / PAGE, run_dir / TABLE
    text = json.dumps(found.as_table(), indent=1, allow_nan=False, ensure_ascii=False)
    write_atomically(table, text + "\n")
    write_atomically(page, rendered(found))
    return WrittenCompliance(found, page, table)
