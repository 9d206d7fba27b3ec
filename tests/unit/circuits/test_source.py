"""Circuit files as texts that are complete in themselves: order marks, includes, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from qstore_ray.circuits.qasm import source
from qstore_ray.circuits.qasm.source import (
    AS_TEXT,
    NUMERIC,
    in_earlier_order,
    in_numeric_order,
    is_circuit_file,
    is_in_text_order,
    is_source,
    read_source,
)
from qstore_ray.circuits.qasm.tokens import BEGIN, END
from qstore_ray.errors import CircuitError, ConfigError, QStoreError


def test_a_file_a_text_and_a_name_are_told_apart():
    for name in ("a.qasm", "A.QASM", "b/c.qasm2", "d.Qasm3", "e.inc"):
        assert is_circuit_file(name)
        assert not is_source(name)
    for name in ("a.qasm;", "qubit q;", "a\nb"):
        assert is_source(name)
    for name in ("a.qasm4", "qasm", "a.qasm\n", "mine:build", "\na.qasm", "a.inc.txt"):
        assert not is_circuit_file(name)
    assert not is_source("mine:build")


def _inputs(*names: str, kind: str = "float[64]") -> str:
    return "".join(f"input {kind} {name};\n" for name in names)


TEN = _inputs("_t_2_", "_t_10_", "a")


@pytest.mark.parametrize(
    "text",
    [
        "qubit q;",
        _inputs("a", "b"),
        _inputs("_t_2_", "_t_9_"),
        _inputs("_x_2_", "_x_10_"),
        _inputs("_features_2_", "_feature_10_"),
        _inputs("t_2", "t_10"),
        _inputs("_t_2_", "_u_10_"),
    ],
)
def test_a_text_whose_order_does_not_matter_is_left_alone(text: str):
    assert in_numeric_order(text) == in_earlier_order(text) == text


@pytest.mark.parametrize(
    "text",
    [
        TEN,
        TEN.replace("[64]", ""),
        TEN.replace("[64]", "[ 32 ]"),
        TEN.replace("float[64]", "angle"),
        _inputs("tZ", "_t_1_"),
        _inputs("_a_b_2_", "_a_b_10_"),
        f"  {TEN}\n\n",
    ],
)
def test_a_text_whose_order_matters_says_it_in_its_last_line(text: str):
    marked = in_numeric_order(text)
    assert marked == f"{text.rstrip()}\n{NUMERIC}\n"
    assert in_earlier_order(text) == f"{text.rstrip()}\n{AS_TEXT}\n"
    assert not is_in_text_order(marked)
    assert is_in_text_order(in_earlier_order(text))
    assert not is_in_text_order(text)


def test_a_mark_that_is_there_decides():
    as_text, numeric = f"{TEN}{AS_TEXT}\n", f"{TEN}{NUMERIC}\n"
    assert in_numeric_order(as_text) == in_earlier_order(as_text) == as_text
    assert in_numeric_order(numeric) == in_earlier_order(numeric) == numeric
    both = f"{AS_TEXT}\n{TEN}  {NUMERIC} \n\n"
    assert not is_in_text_order(both)
    assert in_numeric_order(both) == in_earlier_order(both) == numeric


# ------------------------------------------------------------------------------------------- files


def _write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.inc").write_text(text, encoding="utf-8")
    return folder / "mine.inc"


def test_included_files_stand_between_markers(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    file = _write(
        tmp_path,
        mine='a;\n  include "one.inc"; b;\n// include "no.inc";\n/* include "no.inc"; */ c;\n',
        one="include 'sub/two.inc';\r\none;\r\n\r\n",
    )
    _write(tmp_path / "sub", two='include "three.inc" ;\rtwo;', three=" \n")
    three = f"\n{BEGIN}three.inc\n\n{END}three.inc\n"
    two = f"\n{BEGIN}sub/two.inc\n{three}\ntwo;\n{END}sub/two.inc\n"
    one = f"\n{BEGIN}one.inc\n{two}\none;\n{END}one.inc\n"
    rest = '// include "no.inc";\n/* include "no.inc"; */ c;\n'
    assert read_source(file) == f"a;\n  {one} b;\n{rest}"
    assert read_source(str(file)) == read_source(file)


@pytest.mark.parametrize("library", ["qelib1.inc", "stdgates.inc", "hqslib1.inc", "lib/qelib1.inc"])
def test_libraries_of_gates_are_not_read(tmp_path: Path, library: str):
    text = f'include "{library}";\nx;'
    assert read_source(_write(tmp_path, mine=text)) == text


def test_a_file_that_is_included_twice_is_no_circle(tmp_path: Path):
    file = _write(tmp_path, mine='include "one.inc"; include "one.inc";', one="x;")
    assert read_source(file).count(BEGIN) == 2


def test_includes_are_as_deep_as_they_may_be(tmp_path: Path):
    deep = {f"f{k}": f'include "f{k + 1}.inc";' for k in range(40)}
    file = _write(tmp_path, mine='include "f9.inc";', **deep, f40="x;")
    assert "x;" in read_source(file)
    file = _write(tmp_path, mine='include "f8.inc";')
    with pytest.raises(CircuitError) as caught:
        read_source(file)
    place = f'{tmp_path / "f39.inc"}: cannot include "f40.inc"'
    assert caught.value.message == f"{place}: the files include each other in a circle"


def _refusal(file: Path, kind: type[QStoreError]) -> tuple[str, str, object, str]:
    with pytest.raises(kind) as caught:
        read_source(file)
    error = caught.value
    assert type(error) is kind
    return error.message, error.field, error.value, error.fix


def test_what_may_not_be_included_says_where_and_what_to_do(tmp_path: Path):
    folder = tmp_path / "circuit"
    folder.mkdir()
    (tmp_path / "out.inc").write_text("x;")
    circle = "the files include each other in a circle"
    below = "only files in the folder of the circuit and below it are included"
    copy = f"Copy it into {folder} and include it by its name."
    absent = (f"no such file in {folder}", "Put the included file there.")
    for name, message, fix in (
        ("mine.inc", circle, ""),
        ("../out.inc", below, copy),
        (str(tmp_path / "out.inc"), below, copy),
        (str(folder / "mine.inc"), below, copy),
        (".", below, copy),
        ("no.inc", *absent),
        ("sub/no.inc", *absent),
        ("a/../no.inc", *absent),
    ):
        file = _write(folder, mine=f'include "{name}";')
        assert _refusal(file, CircuitError) == (
            f'{file}: cannot include "{name}": {message}', "circuit", name, fix,
        )  # fmt: skip
    file = _write(folder, mine='include "a\0b.inc";')
    assert _refusal(file, CircuitError)[0] == f"{file}: a binary file, not OpenQASM"
    file = _write(folder, mine=f'include "{"n" * 300}.inc";')
    message, _, value, fix = _refusal(file, CircuitError)
    assert message.startswith(f'{file}: cannot include "{"n" * 300}.inc": no such file')
    assert value == f"{'n' * 300}.inc"


def test_what_is_no_text_says_what_it_is(tmp_path: Path):
    file = tmp_path / "mine.inc"
    for data, what in (
        (b"", "an empty file"),
        (b" \n\t", "an empty file"),
        (b"a\0b", "a binary file"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"\n <html lang='en'>", "a web page"),
        (b"<?xml version='1.0'?>", "a web page"),
    ):
        file.write_bytes(data)
        assert _refusal(file, CircuitError) == (
            f"{file}: {what}, not OpenQASM", "circuit", str(file),
            "Give a text file in OpenQASM 2 or 3 (save the raw file, not the page that shows it).",
        )  # fmt: skip
    file.write_bytes(b"a \xff")
    assert _refusal(file, CircuitError)[0].startswith(f"{file}: not text in UTF-8: ")
    for data, text in (
        ("θ;".encode("utf-16"), "θ;"),
        (b"\xff\xfea\0;\0", "a;"),
        (b"\xfe\xff\0a\0;", "a;"),
        (b"\xef\xbb\xbfa;", "a;"),
        (b"a;\r\nb;\rc;\n", "a;\nb;\nc;\n"),
    ):
        file.write_bytes(data)
        assert read_source(file) == text


def test_a_file_that_cannot_be_read_is_an_error_of_the_configuration(tmp_path: Path, monkeypatch):
    for path in (tmp_path / "no.qasm", tmp_path):
        message, field, value, fix = _refusal(path, ConfigError)
        assert message.startswith("cannot read the circuit file: ")
        assert (field, value) == ("circuit", str(path))
        assert fix == "Give the path of a file in OpenQASM 2 or 3, from the folder you are in."
    file = _write(tmp_path, mine="x;;;;;")
    monkeypatch.setattr(source, "_MOST_BYTES", 6)
    assert read_source(file) == "x;;;;;"
    monkeypatch.setattr(source, "_MOST_BYTES", 5)
    assert _refusal(file, CircuitError) == (f"{file}: more than 0 MiB", "circuit", str(file), "")
