"""The compliance document: each fact is the run's, what is missing is said, nothing is invented."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qstore_ray import DatasetLoader, TrainedModel
from qstore_ray.errors import QStoreError, RunError
from qstore_ray.ops.compliance.checks import DataCheck, check_data
from qstore_ray.ops.compliance.write import compliance_of, write_compliance
from tests.unit.ops.compliance.runs import (
    FLOWERS,
    at,
    change_json,
    delete_at,
    fact,
    manifest,
    set_at,
    set_field,
    trained,
)
from tests.unit.train.test_report import Page

HOSTILE = '<script>alert("x")</script>'
PARTS = ("model_card", "data_sheet", "audit_log", "reproducibility")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run; nobody may change it."""
    return trained(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def checked(run: Path) -> DataCheck:
    """The data of the run and its saved model, measured again."""
    dataset = DatasetLoader.load(FLOWERS)
    return check_data(dataset, TrainedModel.load(run).confusion(dataset, "test"))


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be changed."""
    return Path(shutil.copytree(run, tmp_path / "runs" / "flowers"))


def _table(folder: Path, data: DataCheck | None = None) -> Any:
    table = compliance_of(folder, data).as_table()
    assert json.loads(json.dumps(table, allow_nan=False)) == table
    return table


# ------------------------------------------------------------------------- changed and missing


RECORD, CARD, SHEET, AUDIT, REPEAT = "run.json", *PARTS
OF_THE_RECORD = [
    (("started",), "2020-01-01T00:00:00+00:00", (CARD, "Model details", "newest attempt started")),
    (("started",), "2020-01-01T00:00:00+00:00", (CARD, "Model details", "started")),
    (("verdict",), "better than nothing", (CARD, "Metrics", "verdict")),
    (("id",), "flowers-ffffffffffff", (AUDIT, "Who and what", "id of the run")),
    (("name",), "roses", (AUDIT, "Who and what", "name")),
    (("generation",), 7, (AUDIT, "Attempts", "attempts")),
    (("versions", "qstore-ray"), "9.9", (CARD, "Model details", "version of the package")),
    (("fingerprints", "data"), "e" * 64, (CARD, "Training data", "fingerprint of the data")),
    (("fingerprints", "data"), "e" * 64, (SHEET, "Composition", "fingerprint")),
    (("fingerprints", "configuration"), "e" * 64, (AUDIT, "Hashes", "configuration")),
    (("attempts", 0, "machine"), "Plan9 mips", (REPEAT, "Environment", "machine")),
    (("attempts", 0, "packages"), "e" * 64, (REPEAT, "Environment", "digest of the packages")),
]
OF_THE_CONFIGURATION = [
    (("trainer", "seed"), 41, (REPEAT, "Seeds and bits", "trainer.seed")),
    (("dataset", "seed"), 42, (REPEAT, "Seeds and bits", "dataset.seed")),
    (("trainer", "optimizer"), "sgd", (CARD, "Model details", "optimizer")),
    (("trainer", "learning_rate"), 0.7, (CARD, "Model details", "learning_rate")),
    (("dataset", "name"), "roses", (SHEET, "Motivation", "name")),
    (("dataset", "source"), "numpy", (SHEET, "Collection process", "source")),
    (("dataset", "bad_values"), "drop", (SHEET, "Preprocessing, cleaning, labelling",
                                         "bad values")),
]  # fmt: skip
OF_THE_MANIFEST = [
    (("model", "data", "sizes", "test"), 31, (CARD, "Evaluation data", "rows of test")),
    (("model", "data", "sizes", "train"), 9, (CARD, "Training data", "rows of train")),
    (("model", "data", "provenance", "source"), "a field", (SHEET, "Collection process",
                                                            "provenance: source")),
    (("epoch",), 3, (CARD, "Model details", "epochs")),
]  # fmt: skip


@pytest.mark.parametrize(("place", "value", "where"), OF_THE_RECORD, ids=str)
def test_a_changed_fact_of_the_record_changes_the_document(copied, place, value, where):
    before = fact(_table(copied), *where)
    set_at(copied / RECORD, value, *place)
    after = fact(_table(copied), *where)
    assert (before != after, after) == (True, value)


@pytest.mark.parametrize(
    ("place", "value", "where"),
    [case for case in OF_THE_RECORD if case[0][0] in {"verdict", "id", "name", "attempts"}
     or len(case[0]) == 2],
    ids=str,
)  # fmt: skip
def test_a_fact_that_the_record_lacks_is_not_recorded(copied, place, value, where):
    delete_at(copied / RECORD, *place)
    assert fact(_table(copied), *where) is None


def _where(where: tuple[str, str, str]) -> tuple[str, str, str]:
    return (*where[:2], where[2].replace("learning_rate", "learning rate"))


@pytest.mark.parametrize(("place", "value", "where"), OF_THE_CONFIGURATION, ids=str)
def test_facts_of_the_configuration_are_its_own(copied, place, value, where):
    before = fact(_table(copied), *_where(where))
    set_field(copied, value, *place)
    assert fact(_table(copied), *_where(where)) == value != before
    set_field(copied, None, *place)
    assert fact(_table(copied), *_where(where)) is None


@pytest.mark.parametrize(("place", "value", "where"), OF_THE_MANIFEST, ids=str)
def test_facts_of_the_checkpoint_are_its_own(copied, place, value, where):
    before = fact(_table(copied), *where)
    set_at(manifest(copied), value, *place)
    assert fact(_table(copied), *where) == value != before


def test_a_run_without_a_checkpoint_has_no_facts_of_it(copied):
    shutil.rmtree(copied / "checkpoints")
    table = _table(copied)
    for name in ("circuit", "qubits", "trained parameters", "step", "epochs"):
        assert fact(table, CARD, "Model details", name) is None
    assert fact(table, SHEET, "Composition", "rows") is None
    assert fact(table, AUDIT, "Hashes", "newest checkpoint") is None


def test_the_user_is_named_only_by_a_tag(run, copied):
    assert fact(_table(run), AUDIT, "Who and what", "user") is None
    set_field(copied, "ada", "track", "tags", "user")
    assert fact(_table(copied), AUDIT, "Who and what", "user") == "ada"


def test_secrets_are_hidden(copied):
    set_field(copied, "hunter2", "track", "tags", "api_key")
    set_field(copied, "https://ada:hunter2@example.org/x.csv", "dataset", "params", "url")
    written = write_compliance(str(copied))
    for path in (written.page, written.table):
        assert "hunter2" not in path.read_text(encoding="utf-8")


def test_hashes_are_those_of_the_files(copied):
    (copied / "privacy.key").write_text("secret")
    written = write_compliance(copied)
    table = json.loads(written.table.read_bytes())
    hashes = next(s for s in table["audit_log"]["sections"] if s["title"] == "Hashes")
    listed = dict(hashes["tables"][0]["rows"])
    arrays = manifest(copied).with_name("arrays.npz").relative_to(copied)
    assert {"run.json", "config.toml", "metrics.jsonl", str(arrays)} <= listed.keys()
    kept = {"compliance.html", "compliance.json", "privacy.key", ".lock"}
    files = {p.relative_to(copied).as_posix() for p in copied.rglob("*") if p.is_file()}
    assert listed.keys() == files - kept
    for name, digest in listed.items():
        assert digest == hashlib.sha256((copied / name).read_bytes()).hexdigest()
    assert fact(table, AUDIT, "Hashes", "newest checkpoint") == listed[str(arrays)]


def test_the_features_of_the_data_are_not_those_after_the_preparation(copied):
    set_at(manifest(copied), 2, "model", "n_features")
    table = _table(copied)
    for place in ((CARD, "Factors"), (SHEET, "Composition")):
        assert fact(table, *place, "features of the data") == 4
        assert fact(table, *place, "features after the preparation") == 2
    delete_at(manifest(copied), "model", "input", "n_features")
    assert fact(_table(copied), CARD, "Factors", "features of the data") is None


def test_a_path_that_depends_on_the_folder_is_said(copied):
    set_field(copied, "rows/*.csv", "dataset", "params", "path")
    assert "rows/*.csv" in fact(_table(copied), REPEAT, "Command", "where")
    for whole in ("/data/rows.csv", "s3://rows/rows.csv"):
        set_field(copied, whole, "dataset", "params", "path")
        with pytest.raises(StopIteration):
            fact(_table(copied), REPEAT, "Command", "where")


def test_each_way_of_scoring_is_named_and_has_its_interval(copied):
    set_field(copied, {"shots": 200}, "trainer", "backend_options")
    set_at(copied / RECORD, 0.8, "metrics", "noisy_test_accuracy")
    set_at(copied / RECORD, 0.8, "metrics", "noisy_test_loss")
    table = _table(copied)
    where = (CARD, "Quantitative analyses")
    assert fact(table, *where, "test was scored") == "exact"
    assert fact(table, *where, "noisy_test was scored") == "with shots"
    section = next(s for s in table[CARD]["sections"] if s["title"] == where[1])
    rows = {row[0]: row[2] for row in section["tables"][0]["rows"]}
    assert rows["noisy_test_accuracy"].endswith("n = 30")


# -------------------------------------------------------------------------------------- questions


def test_what_only_people_know_is_asked_and_never_answered(run, checked):
    table = _table(run, checked)
    for title, part in (("Motivation", SHEET), ("Intended use", CARD), ("Uses", SHEET)):
        section = next(s for s in table[part]["sections"] if s["title"] == title)
        assert section["questions"]
        assert all(each["name"] == "name" for each in section["facts"])
    assert len(table["open_questions"]) == len(set(table["open_questions"])) >= 15
    assert all(each.endswith("?") for each in table["open_questions"])


def test_the_parts_have_the_sections_of_their_papers(run):
    table = _table(run)
    titles = {part: [s["title"] for s in table[part]["sections"]] for part in PARTS}
    assert titles[CARD] == [
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
        "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
    ]  # fmt: skip
    assert titles[SHEET] == [
        "Motivation", "Composition", "Collection process", "Preprocessing, cleaning, labelling",
        "Uses", "Distribution", "Maintenance",
    ]  # fmt: skip
    assert "Mitchell" in table[CARD]["follows"]
    assert "Gebru" in table[SHEET]["follows"]
    assert "Breck" in table["maturity"]["model"]


# ------------------------------------------------------------------------------------------- page


def test_the_page_says_all_that_the_table_says_and_needs_no_other_file(copied, checked):
    set_at(copied / RECORD, HOSTILE, "verdict")
    set_field(copied, HOSTILE, "track", "tags", "user")
    written = write_compliance(copied, checked)
    text = written.page.read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert [link for link in page.links if not link.startswith("#")] == []
    words = " ".join(page.words.split())
    table = json.loads(written.table.read_bytes())
    facts = [f for part in PARTS for s in table[part]["sections"] for f in s["facts"]]
    for each in facts:
        said = "not recorded" if each["value"] is None else " ".join(str(each["value"]).split())
        assert said in words, each
    for each in (*table["risks"], *table["maturity"]["points"]):
        assert " ".join(str(each.get("measured", each.get("because"))).split()) in words
    assert all(question in words for question in table["open_questions"])
    assert text.count("not recorded") >= sum(each["value"] is None for each in facts)


def test_nothing_of_the_run_is_changed(copied, checked):
    before = {p: p.read_bytes() for p in copied.rglob("*") if p.is_file()}
    write_compliance(copied, checked)
    after = {p: p.read_bytes() for p in copied.rglob("*") if p.is_file()}
    assert {p.name for p in after.keys() - before.keys()} == {"compliance.html", "compliance.json"}
    assert {p: after[p] for p in before} == before


# ----------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"generation": "x"}'])
def test_without_the_record_of_the_run_there_is_no_document(copied, content):
    if content is None:
        (copied / RECORD).unlink()
    else:
        (copied / RECORD).write_text(content)
    with pytest.raises(RunError, match="run"):
        compliance_of(copied)


@pytest.mark.parametrize("name", ["config.toml", "metrics.jsonl", "privacy.json"])
def test_other_damage_is_a_high_risk(copied, name):
    (copied / name).write_text("{ no")
    if name == "metrics.jsonl":
        (copied / name).write_text("{ no\n{}\n")
    table = _table(copied)
    said = [r["measured"] for r in table["risks"] if r["rule"] == "unreadable"]
    assert len(said) == 1
    assert name in said[0]


def test_a_checkpoint_that_was_changed_is_not_believed(copied):
    for file in copied.glob("checkpoints/*/arrays.npz"):
        file.write_bytes(file.read_bytes() + b"x")
    table = _table(copied)
    assert fact(table, CARD, "Model details", "circuit") is None
    assert "unreadable" in {each["rule"] for each in table["risks"]}


@pytest.mark.parametrize(
    "place",
    [("model", "data", "sizes"), ("model", "input", "table"), ("model", "preparation", "steps"),
     ("model", "data", "class_counts")],
    ids=".".join,
)  # fmt: skip
def test_a_manifest_of_another_form_is_damage(copied, place):
    for file in copied.glob("checkpoints/*/manifest.json"):
        set_at(file, 7, *place)
    table = _table(copied)
    assert "unreadable" in {each["rule"] for each in table["risks"]}
    assert fact(table, SHEET, "Composition", "rows") is None


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner,
                                                                max_size=3),
    max_leaves=5,
)  # fmt: skip


def _places(values: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(
        values, list) else ()  # fmt: skip
    return [p for name, inner in items for p in ((*place, name), *_places(inner, (*place, name)))]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), odd=ODD)
def test_an_odd_folder_gives_a_document_or_an_error_of_ours(copied, data, odd):
    """One value of one JSON file is replaced by anything."""
    files = [copied / RECORD, manifest(copied)]
    file = data.draw(st.sampled_from(files))
    kept = {each: each.read_bytes() for each in files}
    places = _places(json.loads(kept[file]))
    place = data.draw(st.sampled_from(places))
    try:
        change_json(file, lambda v: at(v, *place[:-1]).__setitem__(place[-1], odd))
        table = _table(copied)
        assert set(PARTS) < set(table)
    except QStoreError:
        pass  # an error of ours is an answer, too; any other one fails the test
    finally:
        for each, content in kept.items():
            each.write_bytes(content)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.sampled_from(["event", "epoch", "generation", "shards", "excluded", "message", "round",
                         "resumed_from_step", "asked", "status", "reason"]),
        ODD | st.sampled_from(["start", "round", "warning", "note", "end"]),
    )
)  # fmt: skip
def test_an_odd_record_of_the_metrics_does_no_harm(copied, record):
    file = copied / "metrics.jsonl"
    kept = file.read_bytes()
    try:
        file.write_bytes(kept + json.dumps(record).encode() + b"\n")
        write_compliance(copied)
    except QStoreError:
        pass  # an error of ours is an answer, too; any other one fails the test
    finally:
        file.write_bytes(kept)


def test_numbers_that_are_not_finite_are_written_as_texts(copied):
    set_at(copied / RECORD, 1.5, "metrics", "test_loss")
    table = compliance_of(copied, DataCheck(accuracy=(float(np.nan), 3))).as_table()
    assert json.loads(json.dumps(table, allow_nan=False)) == table


EVIL = "<script>alert(1)</script>\"'&|[x](javascript:1)\x1b[2J"


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: set_at(folder / "run.json", EVIL, "name"),
        lambda folder: set_at(folder / "run.json", f"a\x00\ud800b{EVIL}", "name"),
        lambda folder: set_at(folder / "run.json", f"\udcff{EVIL}", "attempts", 0, "machine"),
        lambda folder: set_field(folder, {EVIL: EVIL}, "track", "tags"),
    ],
    ids=["name", "surrogate", "machine", "tags"],
)
def test_text_of_a_run_is_text_in_its_document(copied, change):
    change(copied)
    written = write_compliance(copied)
    page = written.page.read_text("utf-8")
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    assert "\x1b" not in page
    assert "alert(1)" in json.dumps(json.loads(written.table.read_text("utf-8")))


def test_a_file_that_cannot_be_read_is_a_risk(copied):
    """A file of the system that opens and fails when it is read."""
    (copied / "metrics.jsonl").unlink()
    (copied / "metrics.jsonl").symlink_to("/proc/self/mem")
    table = compliance_of(copied).as_table()
    assert any("metrics.jsonl" in each["measured"] for each in table["risks"])
