"""The reproducibility statement: what is needed to get the same numbers again, and whether it is
all recorded.

What is claimed of bits follows from the configuration. Circuits on a simulator give the same bits
on any number of workers, with shots and noise too, since each draw has a key made of the seed;
workers that exchange less need the same number; a quantum computer and secret noise give other
numbers each time. Processors of different make may round the last bit otherwise. A twin run is the
proof: the same configuration and data, trained again, and the results compared digit by digit.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from qstore_ray.ops.compliance.document import (
    DocumentPart,
    DocumentSection,
    StatedFact,
    StatedTable,
    section_of,
)
from qstore_ray.ops.compliance.evidence import RunEvidence, shown
from qstore_ray.storage.address import shown_place
from qstore_ray.track.attempt import installed_packages, packages_digest

_SIMULATORS = ("statevector", "aer")
_NOW = "measured when this document was written"


def repeat_part(evidence: RunEvidence) -> DocumentPart:
    """Seeds, bits, environment, twin runs and the command."""
    sections = (
        _seeds(evidence),
        _environment(evidence),
        _twins(evidence),
        _command(evidence),
    )
    return DocumentPart("reproducibility", "Reproducibility statement", sections)


def obstacles(evidence: RunEvidence) -> list[str]:
    """Why a second training would not have the same bits, as far as the configuration says."""
    return list(_obstacles(evidence))


def _obstacles(evidence: RunEvidence) -> Iterator[str]:
    backend = evidence.setting("trainer.backend")
    if backend is None:
        yield "the backend is not recorded"
    elif backend not in _SIMULATORS:
        yield f"the backend {backend!r} is no simulator of this package"
    if evidence.setting("trainer.seed") is None:
        yield "the seed is not recorded"
    if evidence.setting("trainer.averaging.period") == "auto":
        yield "trainer.averaging.period is 'auto': the machine's speed chooses it"
    for field in ("trainer.privacy.noise", "federation.privacy.noise"):
        if evidence.setting(field) == "secure":
            yield f"{field} is 'secure': the noise has a secret key, which is not kept"
    if evidence.facts.summary.fallbacks:
        yield "a second backend took over during the run"


def _seeds(evidence: RunEvidence) -> DocumentSection:
    against = obstacles(evidence)
    bits = (
        "; ".join(against)
        if against
        else f"equal to the last bit on {_workers(evidence)}, with the same versions, "
        "on processors of the same make"
    )
    fields = ["trainer.seed", "dataset.seed"]
    if evidence.is_federated:
        fields += ["federation.seed", "partition.seed"]
    facts = [
        *(evidence.said(field, field) for field in fields),
        *_beginning(evidence),
        StatedFact("what to expect of bits", bits, "follows from config.toml"),
        StatedFact("fingerprint of the configuration",
                   evidence.record.fingerprints.get("configuration"), "run.json: fingerprints"),
        StatedFact("fingerprint of the data",
                   evidence.record.fingerprints.get("data"), "run.json: fingerprints"),
    ]  # fmt: skip
    return section_of("Seeds and bits", facts)


def _beginning(evidence: RunEvidence) -> Iterator[StatedFact]:
    """The file that the first parameters came from, which a second training needs too."""
    if evidence.setting("trainer.init_from") is not None:
        yield evidence.said("initial parameters from", "trainer.init_from")


def _workers(evidence: RunEvidence) -> str:
    """The numbers of workers that give the same bits."""
    if evidence.setting("trainer.averaging") or evidence.setting("trainer.compression"):
        return f"as many workers ({evidence.setting('trainer.num_workers')})"
    return "any number of workers"


def _environment(evidence: RunEvidence) -> DocumentSection:
    last = (evidence.attempts() or [{}])[-1]
    packages = installed_packages()
    same = None if "packages" not in last else last["packages"] == packages_digest(packages)
    said = {
        True: "the same packages as those of this document",
        False: "not the packages that were installed when this document was written",
        None: None,
    }
    versions = tuple(sorted(evidence.record.versions.items()))
    facts = [
        StatedFact("commit", shown(last.get("commit")), "run.json: attempts"),
        StatedFact("machine", shown(last.get("machine")), "run.json: attempts"),
        StatedFact("digest of the packages", shown(last.get("packages")), "run.json: attempts"),
        StatedFact("packages", said[same], _NOW),
    ]
    tables = [
        StatedTable("Versions", ("package", "version"), versions, "run.json: versions"),
        StatedTable("All packages", ("package",),
                    tuple((each,) for each in packages) if same else (), _NOW),
    ]  # fmt: skip
    return section_of("Environment", facts, tables)


def _twins(evidence: RunEvidence) -> DocumentSection:
    rows = [
        (twin.name, twin.compared, len(twin.differing), ", ".join(twin.differing) or None)
        for twin in evidence.twins
    ]
    equal = [twin for twin in evidence.twins if twin.compared and not twin.differing]
    facts = [
        StatedFact("runs of the same configuration and data", len(rows), "the runs beside it"),
        StatedFact("of these with equal results", len(equal) if rows else None,
                   "run.json of both: metrics"),
    ]  # fmt: skip
    head = ("run", "results compared", "different", "which")
    return section_of("Trained again", facts, [StatedTable("Twins", head, tuple(rows), _NOW)])


def _command(evidence: RunEvidence) -> DocumentSection:
    config = evidence.folder / "config.toml"
    if not evidence.facts.config:
        return section_of("Command", [StatedFact("command", None, "config.toml")])
    job, name = shlex.quote(shown_place(config)), f"{evidence.facts.summary.name}-again"
    verb = "federate" if evidence.is_federated else "train"
    option = f"--set name={name}" if evidence.is_federated else f"--name {name}"
    facts = [StatedFact("command", f"qstore {verb} {job} {option}", "made from config.toml")]
    path = evidence.setting("dataset.params.path")
    if isinstance(path, str) and "://" not in path and not Path(path).is_absolute():
        facts.append(
            StatedFact("where", f"in the folder from which {path} leads to the rows",
                       "config.toml: dataset.params.path")
        )  # fmt: skip
    if evidence.setting("dataset.params.in_memory"):
        facts.append(
            StatedFact("rows", "given as arrays in Python; the command cannot load them",
                       "config.toml: dataset.params")
        )  # fmt: skip
    return section_of("Command", facts)
