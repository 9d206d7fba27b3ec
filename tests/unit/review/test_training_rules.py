"""Each rule finds its own bad example and not the good one; what is fine on real code stays so."""

from __future__ import annotations

import json

import pytest

from qstore_ray.errors import DataError
from qstore_ray.review.notebook import code_of
from qstore_ray.review.source import SourceFile
from qstore_ray.review.training import TRAINING_RULES, check_training


def found(text: str) -> list[tuple[str, int]]:
    return [(flaw.rule, flaw.line) for flaw in check_training(SourceFile("a.py", text))]


@pytest.mark.parametrize("rule", TRAINING_RULES.values(), ids=lambda rule: rule.id)
def test_a_rule_finds_its_bad_example_and_not_its_good_one(rule):
    assert [name for name, _ in found(rule.bad)] == [rule.id]
    assert found(rule.good) == []


def test_a_finding_says_what_to_write_instead():
    for rule in TRAINING_RULES.values():
        (flaw,) = check_training(SourceFile("a.py", rule.bad))
        assert flaw.message
        assert flaw.rewrite.endswith((".", ")"))


SKLEARN = (
    "from sklearn.preprocessing import StandardScaler as Scaler\n"
    "from sklearn.decomposition import PCA\n"
    "from sklearn.model_selection import cross_val_score, train_test_split\n"
)

LEAKS = [
    (
        "scaler = Scaler()\n"
        "X = scaler.fit_transform(X)\n"
        "a, b = train_test_split(X, random_state=0)\n"
    ),
    (
        "scaler = Scaler().fit(X)\n"
        "Z = scaler.transform(X)\n"
        "a, b = train_test_split(Z, random_state=0)\n"
    ),
    "a, b = train_test_split(PCA(2).fit_transform(X), y, random_state=0)\n",
    "X = PCA(2).fit_transform(X)\nscores = cross_val_score(model, X, y)\n",
    "Z = PCA(2).fit_transform(X)\nW = Z[:, :2]\na, b = train_test_split(W, random_state=0)\n",
    "X = (X - X.mean(axis=0)) / X.std(axis=0)\na, b = train_test_split(X, random_state=0)\n",
    "Z = Scaler().fit_transform(X)\nX_train, X_test = Z[:80], Z[80:]\n",
    (
        "def f(X):\n"
        "    X = PCA(2).fit_transform(X)\n"
        "    return train_test_split(X, random_state=0)\n"
    ),
]
"""Lines after the imports; each has one leak."""

NO_LEAKS = [
    "a, b = train_test_split(X, random_state=0)\nscaler = Scaler().fit(a)\n",
    (
        "X_train, X_test = train_test_split(X, random_state=0)\n"
        "X_train = Scaler().fit_transform(X_train)\n"
        "X_fit, X_val = train_test_split(X_train, random_state=1)\n"
    ),
    "Z = PCA(2).fit_transform(X)\nplot(Z)\na, b = train_test_split(X, random_state=0)\n",
    "X = X / 255.0\na, b = train_test_split(X, random_state=0)\n",
    "X = X - X.mean(axis=1, keepdims=True)\na, b = train_test_split(X, random_state=0)\n",
    (
        "def f(X):\n"
        "    return PCA(2).fit_transform(X)\n"
        "\n"
        "a, b = train_test_split(X, random_state=0)\n"
    ),
    "X_train = PCA(2).fit_transform(X_train)\nsmall_train = X_train[:10]\n",
]


@pytest.mark.parametrize("text", LEAKS)
def test_a_leak_is_found(text):
    assert [rule for rule, _ in found(SKLEARN + text)] == ["QS111"]


@pytest.mark.parametrize("text", NO_LEAKS)
def test_a_fit_on_training_rows_is_no_leak(text):
    assert found(SKLEARN + text) == []


DECIDED = [
    (
        "from keras.callbacks import EarlyStopping\n"
        "model.fit(x, y, validation_data=(x_test, y_test), callbacks=[EarlyStopping()])\n"
    ),
    (
        "import xgboost\n"
        "model = C(early_stopping_rounds=5)\n"
        "model.fit(a, b, eval_set=[(a, b), (X_test, y)])\n"
    ),
    (
        "for e in n:\n"
        "    test_loss = f()\n"
        "    if test_loss < self.best_loss:\n"
        "        self.best_loss = test_loss\n"
    ),
    "from qstore_ray import EarlyStopping\nstop = EarlyStopping(monitor='test_loss')\n",
    (
        "def objective(trial):\n"
        "    lr = trial.suggest_float('lr', 0, 1)\n"
        "    return model.score(X_test, y_test)\n"
    ),
]
NOT_DECIDED = [
    "model.fit(x, y, validation_data=(x_test, y_test))\n",
    (
        "from keras.callbacks import EarlyStopping\n"
        "model.fit(x, y, validation_data=(x_val, y_val), callbacks=[EarlyStopping()])\n"
    ),
    "if test_acc > 0.9:\n    best = 1\n",
    (
        "for e in n:\n"
        "    if val_loss < best_loss:\n"
        "        best_loss, test_at_best = val_loss, test_loss\n"
    ),
    (
        "def objective(trial):\n"
        "    lr = trial.suggest_float('lr', 0, 1)\n"
        "    return model.score(X_val, y_val)\n"
    ),
    "def latest(a):\n    if contest_score > best:\n        best = contest_score\n",
]


@pytest.mark.parametrize("text", DECIDED)
def test_test_rows_that_decide_are_found(text):
    assert [rule for rule, _ in found(text)] == ["QS112"]


@pytest.mark.parametrize("text", NOT_DECIDED)
def test_validation_rows_may_decide(text):
    assert found(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "import numpy as np\nnp.random.seed(0)\n" + SKLEARN + "a, b = train_test_split(X)\n",
        SKLEARN + "a, b = train_test_split(X, shuffle=False)\n",
        SKLEARN + "a, b = train_test_split(X, **options)\n",
        "from optuna.samplers import RandomSampler\ns = RandomSampler(3)\n",
        "from sklearn.model_selection import KFold\nk = KFold(5)\n",
    ],
)
def test_what_has_a_seed_or_draws_nothing_is_fine(text):
    assert found(text) == []


UNUSED = [
    "from qiskit.circuit import ParameterVector\ntheta = ParameterVector('t', 3)\nphi = 1\n",
    (
        "import torch.nn as nn\nclass M(nn.Module):\n    def __init__(self):\n"
        "        self.w = nn.Parameter(z)\n    def forward(self, x):\n        return x\n"
    ),
]
USED = [
    (
        "from qiskit.circuit import ParameterVector\n"
        "theta = ParameterVector('t', 3)\n"
        "qc.ry(theta[0], 0)\n"
    ),
    "from qiskit.circuit import Parameter\n__all__ = ['theta']\ntheta = Parameter('t')\n",
    (
        "import torch.nn as nn\nclass M(nn.Module):\n    def __init__(self):\n"
        "        self.w = nn.Parameter(z)\n    def forward(self, x):\n        return x @ self.w\n"
    ),
    (
        "import torch.nn as nn\n"
        "class M(nn.Module):\n"
        "    def __init__(self):\n"
        "        self.w = nn.Linear(2, 2)\n"
    ),
    (
        "import pennylane as qml\n"
        "@qml.qnode(dev)\n"
        "def circuit(x, _unused):\n"
        "    qml.RX(x, wires=0)\n"
    ),
]


@pytest.mark.parametrize("text", UNUSED)
def test_an_unused_parameter_is_found(text):
    assert [rule for rule, _ in found(text)] == ["QS113"]


@pytest.mark.parametrize("text", USED)
def test_a_used_parameter_is_not(text):
    assert found(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "results = ray.get([f.remote(x) for x in xs])\n",
        "for x in xs:\n    weights = ray.get(step.remote(weights, x))\n",
        "for x in xs:\n    ray.get(actor.save.remote(x))\n",
        "while todo:\n    done, todo = ray.wait(todo)\n    out.append(ray.get(done[0]))\n",
        "for left in range(3):\n    found = ray.get(f.remote())\n    if found:\n        break\n",
        "for refs in groups:\n    out += ray.get([f.remote(r) for r in refs])\n",
    ],
)
def test_tasks_that_run_side_by_side_or_depend_on_each_other_are_fine(text):
    assert found("import ray\n" + text) == []


@pytest.mark.parametrize(
    "text",
    ["xs = [ray.get(f.remote(x)) for x in xs]\n",
     "for x in xs:\n    ref = f.remote(x)\n    out.append(ray.get(ref))\n"],
)  # fmt: skip
def test_tasks_one_after_the_other_are_found(text):
    assert [rule for rule, _ in found("import ray\n" + text)] == ["QS114"]


@pytest.mark.parametrize(
    "text",
    ["token = 'YOUR_IBM_QUANTUM_TOKEN_1'\n", "token = os.environ['X1234567890123456']\n",
     "n_tokens = 'abcdefgh12345678'\n", "api_key = '<paste 1234 your key>'\n", "password = 'x'\n"],
)  # fmt: skip
def test_a_placeholder_is_no_secret(text):
    assert found(text) == []


def test_a_comment_with_a_reason_excuses_its_line():
    line = "from sklearn.model_selection import KFold\nr = KFold(shuffle=True)"
    assert found(line + "\n") == [("QS110", 2)]
    assert found(line + "  # gate: QS110 because it is a key\n") == []
    assert found(line + "  # gate: QS110\n") == [("QS110", 2)]
    assert found(line + "  # gate: QS111 because it is a key\n") == [("QS110", 2)]
    above = line.replace("\n", "\n# gate: QS110, QS111 because it is a key\n")
    assert found(above + "\n") == []


def test_a_notebook_has_its_lines_where_its_file_has_them():
    lines = [
        "from sklearn.model_selection import KFold\n",
        "%matplotlib inline\n",
        "for i in x:\n",
        "    !ls\n",
        "r = KFold(shuffle=True)",
    ]
    cells = [
        {"cell_type": "markdown", "source": ["import this"]},
        {"cell_type": "code", "source": ["%%bash\n", "ls -l"]},
        {"cell_type": "code", "source": lines},
    ]
    text = json.dumps({"cells": cells}, indent=1)
    ((rule, line),) = found(code_of("a.ipynb", text).text)
    assert (rule, "shuffle" in text.splitlines()[line - 1]) == ("QS110", True)
    compact = json.dumps({"cells": cells})
    assert [rule for rule, _ in found(code_of("a.ipynb", compact).text)] == ["QS110"]
    with pytest.raises(DataError, match="notebook"):
        code_of("a.ipynb", "{}")


def test_what_is_no_python_has_a_line():
    with pytest.raises(DataError) as info:
        SourceFile("a.py", "x = 1\ndef f(:\n")
    assert info.value.row == 2
