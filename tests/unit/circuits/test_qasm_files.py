"""Circuit files: encodings, includes, and what is no circuit file at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from qstore_ray.circuits.load import load_circuit
from qstore_ray.circuits.qasm.reader import from_qasm, from_text
from qstore_ray.circuits.qasm.source import read_source
from qstore_ray.circuits.template import Op
from qstore_ray.errors import CircuitError, ConfigError, QStoreError
from qstore_ray.learn.config import ModelConfig
from tests.circuit_states import V2, V3

BELL = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\nh q[0];\ncx q[0],q[1];\n'
OPS = (Op("h", (0,)), Op("cx", (0, 1)))


@pytest.mark.parametrize(
    "data",
    [
        BELL.encode(),
        b"\xef\xbb\xbf" + BELL.encode(),
        BELL.encode("utf-16"),
        BELL.replace("\n", "\r\n").encode(),
        BELL.replace("\n", "\r").encode(),
        BELL.replace(" ", "\t").encode(),
        ("// author: θ\n/* two\nlines */\n" + BELL).encode(),
        BELL.rstrip().encode(),
        BELL.partition("\n")[2].encode(),
        BELL.split("\n", 2)[2].encode(),
    ],
)
@pytest.mark.parametrize("name", ["bell.qasm", "Bell.QASM", "bell.qasm2", "bell.qasm3", "b.inc"])
def test_a_file_of_any_editor_is_read(tmp_path: Path, data: bytes, name: str):
    file = tmp_path / name
    file.write_bytes(data)
    assert from_qasm(file).template.ops == OPS
    assert from_qasm(file).name == file.stem
    assert load_circuit(str(file)).template.ops == OPS
    for given in (file, str(file)):
        kept = ModelConfig(circuit=given).circuit
        assert load_circuit(kept).template.ops == OPS


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "an empty file"),
        (b" \n\t\n", "an empty file"),
        (b"\x00\x01\x02\xff", "not text"),
        (b"qubit\x00 q;", "a binary file"),
        (b"\x89PNG\r\n\x1a\n", "not text"),
        (b"<!DOCTYPE html>\n<html></html>", "a web page"),
        (b"\n<HTML>", "a web page"),
        (b"a, b\n1, 2\n", "no OpenQASM"),
        (b"OPENQASM 3.0;\nqubit q\nh q;", "bad.qasm, line 3, column 1"),
        (b"OPENQASM 2.0;\nqreg q[1];\nbar q[0];", "bad.qasm, line 3, column 1: no gate bar"),
    ],
)
def test_a_file_that_is_no_circuit_is_refused_by_its_name(
    tmp_path: Path, data: bytes, message: str
):
    file = tmp_path / "bad.qasm"
    file.write_bytes(data)
    for load in (from_qasm, lambda path: ModelConfig(circuit=path)):
        with pytest.raises(CircuitError, match=message) as error:
            load(file)
        assert str(file) in str(error.value)
        assert error.value.exit_code == 2


@pytest.mark.parametrize("name", ["missing.qasm", "folder.qasm", "zero\0byte.qasm"])
def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path, name: str):
    (tmp_path / "folder.qasm").mkdir()
    with pytest.raises(ConfigError, match="cannot read the circuit file"):
        from_qasm(tmp_path / name)
    with pytest.raises(ConfigError, match="cannot read the circuit file"):
        ModelConfig(circuit=str(tmp_path / name))


@pytest.fixture
def including(tmp_path: Path) -> Path:
    file = tmp_path / "circuit" / "mine.qasm"
    file.parent.mkdir()
    file.write_text(f'{V2}include "mygates.inc"; qreg q[1];\nmyg q[0];\n', encoding="utf-8")
    (file.parent / "mygates.inc").write_text("gate myg a { h a; }\n", encoding="utf-8")
    return file


def test_what_a_file_includes_is_kept_with_it(including: Path, monkeypatch, tmp_path: Path):
    config = ModelConfig(circuit=str(including))
    (including.parent / "mygates.inc").write_text("gate myg a { x a; }\n", encoding="utf-8")
    assert load_circuit(config.circuit).template.ops == (Op("h", (0,)),)
    assert from_qasm(including).template.ops == (Op("x", (0,)),)
    monkeypatch.chdir(tmp_path)
    assert from_qasm("circuit/mine.qasm").template.ops == (Op("x", (0,)),)
    assert ModelConfig(circuit=config.circuit) == config


@pytest.mark.parametrize("head", [V2 + "qreg q[1];", V3 + "qubit[1] q;"])
def test_included_files_include_files_beside_them(tmp_path: Path, head: str):
    (tmp_path / "gates").mkdir()
    (tmp_path / "gates" / "one.inc").write_text('include "two.inc";\ngate one a { two a; }')
    (tmp_path / "gates" / "two.inc").write_text(
        "OPENQASM 2.0;" * ("2.0" in head) + "gate two a { y a; }"
    )
    file = tmp_path / "mine.qasm"
    file.write_text(f"{head}\ninclude 'gates/one.inc';\none q[0];\n// include \"no.inc\";\n")
    assert from_qasm(file).template.ops == (Op("y", (0,)),)


def test_an_error_in_or_behind_an_included_file_has_its_own_line(including: Path):
    gates = including.parent / "mygates.inc"
    gates.write_text("// mine\n\ngate myg a { hh a; }\n", encoding="utf-8")
    with pytest.raises(CircuitError, match=r"mygates.inc, line 3, column 14: no gate hh"):
        from_qasm(including)
    gates.write_text("// mine\n\ngate myg a { h a; }\n", encoding="utf-8")
    including.write_text(including.read_text() + "foo q[0];\n", encoding="utf-8")
    with pytest.raises(CircuitError, match=r"mine.qasm, line 5, column 1: no gate foo"):
        from_qasm(including)
    including.write_text(f'{V2}qreg q[1]; include "mygates.inc"; foo q[0];\n', encoding="utf-8")
    with pytest.raises(CircuitError, match=r"mine.qasm, line 3, column \d+: no gate foo"):
        from_qasm(including)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.inc", "no such file in"),
        ("../outside.inc", "Copy it into"),
        ("/etc/hostname", "Copy it into"),
        ("link.inc", "Copy it into"),
        (".", "Copy it into|no such file"),
        ("mine.qasm", "in a circle"),
        ("a.inc", "in a circle"),
    ],
)
def test_what_may_not_be_included_is_refused(tmp_path: Path, name: str, message: str):
    folder = tmp_path / "circuit"
    folder.mkdir()
    (tmp_path / "outside.inc").write_text("gate out a { x a; }")
    (folder / "link.inc").symlink_to(tmp_path / "outside.inc")
    (folder / "a.inc").write_text('include "b.inc";')
    (folder / "b.inc").write_text('include "a.inc";')
    file = folder / "mine.qasm"
    file.write_text(f'{V2}include "{name}";\nqreg q[1];\n')
    with pytest.raises(CircuitError, match=message) as error:
        read_source(file)
    assert name in str(error.value)


def test_a_text_cannot_include_files(including: Path, monkeypatch):
    monkeypatch.chdir(including.parent)
    with pytest.raises(CircuitError, match="only a file includes") as error:
        from_text(including.read_text(encoding="utf-8"))
    assert "path of the file" in error.value.fix


@pytest.mark.parametrize("library", ["qelib1.inc", "stdgates.inc", "hqslib1.inc"])
def test_libraries_of_gates_need_no_file(library: str):
    assert from_text(f'include "{library}"; qreg q[1]; U1q(0.5, 0.25) q[0];').template.ops


def test_the_error_survives_the_command_line(tmp_path: Path):
    file = tmp_path / "bad.qasm"
    file.write_text("OPENQASM 3.0;\nqubit q;\nbar q;\n")
    with pytest.raises(QStoreError) as error:
        ModelConfig(circuit=str(file))
    assert error.value.as_dict()["exit_code"] == 2
    assert error.value.as_dict()["value"] == "'bar'"
