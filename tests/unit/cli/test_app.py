"""The command line as a whole: what there is, what it costs, and how it ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import typer

import qstore_ray
from qstore_ray.cli.app import app, main
from qstore_ray.job import JobConfig

# Changing this text is changing the command line: people's scripts depend on it.
COMMAND_LINE = """\
qstore --version
qstore advise
qstore advise advantage JOB.toml --set --folds --repeats --rows --seed --untuned --json
qstore advise predict JOB.toml --set --json
qstore advise recommend JOB.toml|FOLDER --set --budget --count --output --json
qstore advise resources JOB.toml --set --seconds --two-qubit-gates --depth --shots --error-budget --qubit --json
qstore cluster
qstore cluster down --json
qstore cluster status --json
qstore cluster up --nodes --cpus --json
qstore config
qstore config schema --json
qstore config show JOB.toml --set --json
qstore dashboard --storage --port --open --json
qstore data
qstore data info JOB.toml|FOLDER --set --json
qstore data list --json
qstore data prepare JOB.toml FOLDER --set --json
qstore data profile JOB.toml|FOLDER OUT --set --json
qstore data serve FOLDER --host --port
qstore data verify JOB.toml|FOLDER --set --json
qstore doctor JOB.toml --set --gpu --json
qstore estimate JOB.toml --set --hardware --hardware-option --json
qstore evaluate RUN --split --data --set --storage --json
qstore export MODEL --output --card --storage --json
qstore federate JOB.toml --set --workers --resume --fresh --json --quiet
qstore hardware
qstore hardware cancel FOLDER [TAG]... --account --token-file --json
qstore hardware jobs FOLDER --json
qstore hardware reattach FOLDER --no-wait --account --token-file --json
qstore hardware usage FOLDER --json
qstore health JOB.toml --set --storage --deadline --watch --every --seconds --webhook \
--secret-file --json
qstore migrate FILE|FOLDER --set --write --json
qstore noise
qstore noise save DEVICE --output --account --token-file --instance --channel --url --json
qstore noise show FILE|BACKEND --job --set --json
qstore predict MODEL INPUT --output --proba --id --set --workers --local --storage --json
qstore privacy
qstore privacy audit RUN --canaries --storage --json
qstore review REV|PATH... --format --level --max-paths --history-seconds --ask-model \
--show-request --rules
qstore runs --storage --json
qstore runs compare RUN... --storage --json
qstore runs list --storage --json
qstore runs plot RUN... --kind --format --output --split --storage --json
qstore runs report NAME --storage --compliance --json
qstore runs show NAME --storage --json
qstore runs sync NAME --storage --json
qstore serve MODEL --host --port --max-rows --max-body --storage
qstore submit JOB.toml ARGUMENTS --address --command --name --id --storage --no-wait --insecure \
--json
qstore train JOB.toml --set --seed --workers --epochs --name --storage --init-from --resume \
--fresh --local --json --quiet
qstore tune
qstore tune best NAME --trial --output --storage --storage-url --json
qstore tune plot NAME --kind --format --storage --storage-url --json
qstore tune run JOB.toml --set --trials --seed --concurrency --name --storage --resume --fresh \
--local --json --quiet
qstore tune show NAME --storage --storage-url --json
qstore ui STUDY --storage --mlflow-uri --mlflow-port --optuna-port --json
qstore usage --storage --days --count --json
"""  # noqa: E501

HEAVY = ("numpy", "pyarrow", "ray", "qiskit", "mlflow", "sklearn", "rich")


def _described(name: str, command) -> list[str]:
    words = [
        parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
        for parameter in command.params
    ]
    lines = [" ".join([name, *words])]
    for child in sorted(getattr(command, "commands", {})):
        lines += _described(f"{name} {child}", command.commands[child])
    return lines


LINES = _described("qstore", typer.main.get_command(app))
COMMANDS = [re.split(r" (?=--|[A-Z])", line, maxsplit=1)[0].split()[1:] for line in LINES]


def test_the_command_line_is_as_agreed():
    assert "\n".join(LINES) + "\n" == COMMAND_LINE


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_help_ends_with_examples_of_that_command(command, flag, capsys):
    assert main([*command, flag]) == 0
    out, err = capsys.readouterr()
    examples = out.partition("\n  Examples:\n")[2].splitlines()
    assert examples
    assert all(line.startswith("    qstore ") for line in examples)
    assert any(" ".join(command) in line for line in examples)
    assert err == ""


def test_the_examples_are_written_with_options_that_exist():
    """Every line of every help text starts with a command and uses its options only."""
    known = {tuple(line.split()) for line in LINES}
    for line in _examples():
        words = [word for word in line.split() if word not in {"|", "tail", ">", "-1"}]
        if words[1] == "tune" and words[2].endswith(".toml"):
            words.insert(2, "run")  # what the hidden command stands for
        matching = [k for k in known if tuple(words[: _depth(k)]) == k[: _depth(k)]]
        best = max(matching, key=_depth)
        used = {word for word in words if word.startswith("--")} - {"--help"}
        assert used <= set(best), line


def _examples() -> list[str]:
    def epilogs(command):
        yield command.epilog or ""
        for child in getattr(command, "commands", {}).values():
            yield from epilogs(child)

    text = "\n".join(epilogs(typer.main.get_command(app)))
    return [line.strip() for line in text.splitlines() if line.startswith("  qstore")]


def _depth(words: tuple[str, ...]) -> int:
    return len([word for word in words if word.islower() and not word.startswith("--")])


def test_help_loads_nothing_heavy(repository):
    code = (
        "import sys; from qstore_ray.cli.app import main; main(['train', '--help']);"
        f"print('heavy:', *[m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "heavy:"


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"qstore {qstore_ray.__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Missing command"),
        (["trian"], "No such command 'trian'"),
        (["runs", "lst"], "No such command 'lst'"),
        (["train"], "JOB.toml"),
        (["train", "job.toml", "--wrkers", "2"], "No such option: --wrkers"),
        (["train", "job.toml", "--workers", "two"], "--workers"),
        (["predict", "digits"], "INPUT"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_understood_exits_with_2_and_says_why(words, said, capsys):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: qstore")
    assert said in err
    assert "\x1b" not in err

    assert main([*words, "--json"]) == 2
    error = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert error["error"] == "UsageError"
    assert said in error["message"] or not words
    assert error["exit_code"] == 2
    assert "--help lists the options." in error["fix"]


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (["train", "job.toml", "--epochs"], "--epochs N (Passes over"),
        (["train", "job.toml", "--workers", "two"], "--workers N (Number of Ray workers"),
        (["predict", "digits", "--set"], "--set KEY=VALUE (Read the file"),
        (["tune", "show", "digits", "--storage"], "--storage DIR (Folder that"),
        (["tune", "job.toml", "--trials"], "--trials N (Number of trials"),
        (["tune", "--trials"], "--trials N (Number of trials"),
        (["runs", "--storage"], "--storage DIR (Folder that"),
    ],
)
def test_an_option_without_its_value_says_what_to_write(words, typed, capsys):
    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("Usage: qstore")
    assert f"Write {typed}" in err
    words = [*words[:-1], "--json", words[-1]] if words[-1] != "two" else [*words, "--json"]
    assert main(words) == 2
    assert f"Write {typed}" in json.loads(capsys.readouterr().out)["fix"]


@pytest.mark.parametrize("words", [["evaluate"], ["predict"], ["export"], ["runs", "show"]])
@pytest.mark.parametrize("place", ["empty", "used"])
def test_a_job_file_where_a_run_belongs_says_that_it_is_trained_first(
    words, place, tmp_path, repository, capsys
):
    (tmp_path / "used" / "other").mkdir(parents=True)
    more = ["rows.csv"] if words == ["predict"] else []
    more += ["--output", str(tmp_path / "m.qsm")] if words == ["export"] else []
    job = str(repository / "jobs" / "digits.toml")
    assert main([*words, job, *more, "--storage", str(tmp_path / place), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)
    assert error["message"] == "this is a job file, not a run"
    assert error["fix"].startswith("Train the job first")


def test_an_interrupt_outside_the_training_exits_with_5(capsys, monkeypatch):
    def interrupted(path: str, overrides: object) -> JobConfig:
        raise KeyboardInterrupt

    monkeypatch.setattr(JobConfig, "load", interrupted)
    assert main(["train", "job.toml", "--json"]) == 5
    out, err = capsys.readouterr()
    assert json.loads(out)["error"] == "InterruptedRunError"
    assert "--resume" in err


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch):
    def faulty(path: str, overrides: object) -> JobConfig:
        raise ZeroDivisionError

    monkeypatch.setattr(JobConfig, "load", faulty)
    with pytest.raises(ZeroDivisionError):
        main(["train", "job.toml"])


def test_config_show_prints_a_job_that_reads_back_as_the_same(repository, tmp_path, capsys):
    path = repository / "jobs" / "digits.toml"
    assert main(["config", "show", str(path), "--set", "trainer.epochs=7"]) == 0
    copy = tmp_path / "copy.toml"
    copy.write_text(capsys.readouterr().out, encoding="utf-8")
    expected = JobConfig.load(path, ["trainer.epochs=7"])
    assert JobConfig.load(copy) == expected
    assert expected.trainer.epochs == 7

    assert main(["config", "show", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == JobConfig.load(path).to_dict()


def test_config_show_hides_credentials(repository, capsys):
    path = str(repository / "jobs" / "digits.toml")
    secret = "track.mlflow_uri=postgresql://me:hunter2@host/runs"
    assert main(["config", "show", path, "--set", secret]) == 0
    out = capsys.readouterr().out
    assert "hunter2" not in out
    assert "postgresql://" in out


def test_config_schema_describes_every_part_of_a_job(capsys):
    assert main(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["properties"]) == set(JobConfig.model_fields)
    assert "dataset" in schema["required"]

    assert main(["config", "schema", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.rstrip("\n")) == schema
