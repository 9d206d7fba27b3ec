"""Names, job files and models that want out of their folder, or into the shell, come to nothing."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.cli.app import main
from qstore_ray.errors import QStoreError
from qstore_ray.train.model.trained import TrainedModel
from tests.unit.cli.test_train import JOB

NAMES = [
    "..", "../x", "a/../../x", "/tmp/x", "~/x", "a/b", "a\0b", "a\nb", "\x1b[2J", ".", " ", "",
    "x" * 300, "$(touch escaped)", "`touch escaped`", "x;touch escaped", "--force", "\u202egnp.exe",
    "file:///etc/passwd", "con:", "a\\..\\..\\x",
]  # fmt: skip
BY_NAME = (
    "evaluate", "export", "predict", "runs report", "runs compare", "runs sync", "runs plot",
    "runs show",
)  # fmt: skip


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    path = work / "iris.toml"
    text = JOB.format(storage=work / "runs").replace("epochs = 2", "epochs = 1")
    path.write_text(text, encoding="utf-8")
    return path


def _outside(folder: Path) -> set[Path]:
    """All that is in the test's folder, but for what is in the storage."""
    return {path for path in folder.rglob("*") if "runs" not in path.parts}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_run_with_a_hostile_name_stays_in_its_storage(name, job, tmp_path, capsys):
    before = _outside(tmp_path)
    code = main(["train", str(job), f"--name={name}", "--json"])
    out, err = capsys.readouterr()
    assert code in {0, 2}
    assert "Traceback" not in err
    assert _outside(tmp_path) == before
    if code == 0:
        run = Path(json.loads(out.splitlines()[-1])["run_dir"])
        assert run.resolve().parent == (job.parent / "runs").resolve()


@pytest.mark.parametrize("command", BY_NAME)
def test_a_command_on_a_run_with_a_hostile_name_is_refused(command, job, tmp_path, capsys):
    before = _outside(tmp_path)
    for name in NAMES[:14]:
        words = command.split()
        more = ["rows.npy"] if command == "predict" else []
        code = main([*words, "--storage", str(job.parent / "runs"), "--json", "--", name, *more])
        assert code in {2, 3, 4}, (command, name)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert json.loads(out.splitlines()[-1])["error"], "the command was run"
    assert _outside(tmp_path) == before


TEXTS = {
    "deep": b"x = " + b"[" * 20_000,
    "deep tables": b"[" + b"a." * 20_000 + b"a]\nx = 1",
    "no utf-8": b'name = "\xff\xfe"',
    "nul": b'name = "a\x00b"',
    "digits": b"[trainer]\nepochs = " + b"9" * 5000,
    "infinite": b"[trainer]\nlearning_rate = inf",
    "not a number": b"[trainer]\nlearning_rate = nan",
    "negative": b"[model]\nn_qubits = -1",
    "huge": b"[model]\nn_qubits = 4000000000",
    "wrong kind": b"model = [1, 2]",
    "twice": b"[model]\n[model]",
    "dunder": b'[model]\n__class__ = "x"',
    "storage": b'storage = "a\\u0000b"',
    "empty": b"",
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_hostile_job_file_is_an_error_with_a_field_or_a_fix(text, job, tmp_path, capsys):
    base = job.read_bytes() if text.startswith((b"[trainer]", b"[model]")) else b""
    for table in (b"[trainer]", b"[model]"):
        if text.startswith(table + b"\n") and base.count(table):
            head, _, line = text.partition(b"\n")
            base = base.replace(head, head + b"\n" + line, 1)
            text = b""
    job.write_bytes(base + text)
    before = _outside(tmp_path)
    code = main(["train", str(job), "--json"])
    out, err = capsys.readouterr()
    assert code == 2, err
    error = json.loads(out.splitlines()[-1])
    assert error.get("field") or error.get("fix")
    assert "Traceback" not in err
    assert _outside(tmp_path) == before
    assert not (job.parent / "runs").exists()


class Mark:
    """What runs if somebody unpickles it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self):
        return Path.touch, (self._path,)


def test_a_checkpoint_with_a_pickle_inside_is_never_unpickled(job, tmp_path, capsys):
    assert main(["train", str(job), "--json"]) == 0
    run = Path(json.loads(capsys.readouterr().out.splitlines()[-1])["run_dir"])
    mark = tmp_path / "unpickled"
    array = np.empty(1, object)
    array[0] = Mark(mark)
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    for arrays in run.glob("checkpoints/*/arrays.npz"):
        with zipfile.ZipFile(arrays, "w") as archive:
            archive.writestr("theta.npy", content.getvalue())
    with pytest.raises(QStoreError):
        TrainedModel.load(run)
    (tmp_path / "model.qsm").write_bytes(pickle.dumps(Mark(mark)))
    with pytest.raises(QStoreError):
        TrainedModel.load(tmp_path / "model.qsm")
    assert not mark.exists()
    pickle.loads(pickle.dumps(Mark(mark)))
    assert mark.exists(), "it would have been seen"
