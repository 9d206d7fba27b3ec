"""Every rule on code: lines that break it, and lines beside them that do not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qstore_ray.review.rules import CODE_RULES, check_files, check_source
from qstore_ray.review.rules.catalogue import UNREADABLE

BREAKS = {
    "QS001": [
        "x = 1  # gate: QS101",
        "x = 1  # gate: QS101 because",
        "x = 1  # gate: QS1 because of",
    ],
    "QS002": ["x = 1  # gate: QS101 because it draws", "# gate: QS103 because it ends\nx = 1"],
    "QS100": ["def f(:", "x = '\\", "  x = 1"],
    "QS101": [
        "import numpy as np\nnp.random.seed(0)",
        "import numpy\nnumpy.random.rand(3)",
        "from numpy.random import shuffle\nshuffle(x)",
        "from numpy import random as r\nr.normal(size=3)",
        "import random\nrandom.seed(1)",
        "from random import choice\nchoice([1, 2])",
        "def f():\n    import numpy as np\n    return np.random.default_rng()",
        "from numpy.random import default_rng\ndefault_rng(None)",
        "import torch\ntorch.manual_seed(0)",
        "import torch\ntorch.rand(3)",
        "import keras\nkeras.utils.set_random_seed(0)",
        "from pennylane import numpy as np\nnp.random.seed(0)",
        "import autograd.numpy as np\nnp.random.normal(size=3)",
        "import numpy as np\nrng = np.random\nrng.rand(3)",
        "import numpy as np\nif draw := np.random.rand:\n    draw(3)",
        "import numpy as np\nnp.random.RandomState()",
        "from numpy.random import PCG64, Generator\nGenerator(PCG64())",
        "import random\nrandom.Random().random()",
        "from torch import randn_like as noise\nnoise(x)",
        (
            "import numpy as np\nfrom dataclasses import dataclass, field\n@dataclass\nclass A:\n"
            "    rng: object = field(default_factory=np.random.default_rng)"
        ),
    ],
    "QS102": [
        "import pickle\npickle.load(file)",
        "from pickle import loads\nloads(data)",
        "import pickle\nclass Mine(pickle.Unpickler): pass",
        "import dill\ndill.loads(data)",
        "import ray\nray.cloudpickle.loads(data)",
        "import joblib\njoblib.load('model.joblib')",
        "import numpy as np\nnp.load('x.npy', allow_pickle=True)",
        "import pandas as pd\npd.read_pickle('x.pkl')",
        "import torch\ntorch.load('x.pt')",
        "import torch\ntorch.load('x.pt', weights_only=False)",
        "from torch import load\nload('x.pt')",
        "import pickle\nlist(map(pickle.loads, messages))",
        "import pickle as p\nclient = connect(decode=p.loads)",
        "import yaml\nyaml.load(file)",
        "import yaml\nyaml.load(file, Loader=yaml.Loader)",
        "from yaml import unsafe_load\nunsafe_load(file)",
        "import pickle\nread = pickle.load\nread(file)",
    ],
    "QS103": [
        "import ray\nray.get(reference)",
        "import ray\nray.get(reference, timeout=None)",
        "import ray\nray.wait(references, num_returns=1)",
        "messages.get()",
        "messages.get(block=True)",
        "thread.join()",
        "process.wait()",
        "process.wait(timeout=None)",
        "process.communicate()",
        "import subprocess\nsubprocess.run(['git'], check=True)",
        "from subprocess import check_output\ncheck_output(['git'])",
        "import requests\nrequests.get(url)",
        "from urllib.request import urlopen\nurlopen(url, data)",
        "import socket\nsocket.create_connection(('host', 1))",
        "import qiskit_ibm_runtime\njob.result()",
        "from threading import Event\ndone = Event()\ndone.wait()",
        "import requests\nsession = requests.Session()\nsession.get(url)",
        "import requests\nwith requests.Session() as s:\n    s.post(url, json={}, timeout=None)",
        "from requests import Session\nSession().get(url)",
        "import ray\nwait_for = ray.get\nwait_for(reference)",
        "import ray\nif (found := ray.get(reference)): pass",
    ],
    "QS104": [
        "try:\n    f()\nexcept Exception:\n    x = 0",
        "try:\n    f()\nexcept:\n    pass",
        "try:\n    f()\nexcept (ValueError, BaseException) as e:\n    print(e)",
        "def g():\n    try:\n        f()\n    except Exception:\n        return 0",
        "try:\n    f()\nexcept Exception as e:\n    if a:\n        raise\n    x = e",
        (
            "for i in x:\n    try:\n        f()\n    except Exception:\n        if i:\n"
            "            continue\n        raise"
        ),
        "try:\n    f()\nexcept (\n    OSError,\n    Exception,\n):\n    pass",
        "from contextlib import suppress\nwith suppress(Exception):\n    f()",
        "import contextlib\nwith a, contextlib.suppress(OSError, BaseException):\n    f()",
        "async def g():\n    try:\n        await f()\n    except Exception:\n        return None",
    ],
    "QS105": [
        "raise ValueError(f'login {token.get_secret_value()} refused')",
        "log.warning('token %s', token.get_secret_value())",
        "print(token.get_secret_value())",
        "import logging\nlogging.error(password.get_secret_value())",
        "key = token.get_secret_value()\nraise ValueError(f'{key} is refused')",
        "import os\nprint(os.environ['IBM_TOKEN'])",
        "import os\nraise ValueError(os.getenv('API_KEY'))",
        "assert ok, token.get_secret_value()",
        "import os\ntoken = os.environ['IBM_TOKEN']\nprint(f'as {token}')",
        "from os import getenv\ntoken = getenv('IBM_TOKEN')\nraise ValueError(f'{token!r} is bad')",
        "import os\nif (key := os.environ.get('API_KEY')):\n    print(key)",
        "import mlflow, os\nmlflow.log_param('token', os.environ['IBM_TOKEN'])",
    ],
}

HOLDS = {
    "QS001": ["x = 1  # a gate: RX", "x = 1  # gate: rotation", "text = '# gate: QS101'"],
    "QS002": ["import random\nrandom.seed(1)  # gate: QS101 because a test of the law needs it"],
    "QS100": ["", "x = 1"],
    "QS101": [
        "import numpy as np\nnp.random.default_rng(0).normal()",
        "import numpy as np\nnp.random.default_rng(seed=seed)",
        "import random\nrandom.Random(3).random()",
        "import numpy as np\nnp.random.SeedSequence(1)",
        "def f(random):\n    random.seed(1)",
        "import torch\ntorch.rand(3, generator=g)",
        "import random\nstate = random.getstate()",
        "import numpy as np\nnp.random.RandomState(7)",
        "import random\nrandom.SystemRandom().random()",
        "from numpy.random import PCG64, Generator\nGenerator(PCG64(seed))",
        "import numpy as np\nrng = np.random.default_rng(0)\nrng.normal()",
        "import numpy as np\nrng = np.random\nrng = None\nrng.rand(3)",
        "import torch\ntorch.zeros_like(x)",
    ],
    "QS102": [
        "import pickle\npickle.dumps(x)",
        "import json\njson.loads(x)",
        "import numpy as np\nnp.load('x.npz', allow_pickle=False)",
        "import torch\ntorch.load('x.pt', weights_only=True)",
        "import yaml\nyaml.load(file, Loader=yaml.SafeLoader)",
        "import yaml\nyaml.load(file, yaml.CSafeLoader)",
        "import yaml\nyaml.safe_load(file)",
        "import json\nlist(map(json.loads, messages))",
    ],
    "QS103": [
        "import ray\nray.get(reference, timeout=5.0)",
        "import ray\nray.get(reference, **options)",
        "table.get('name')",
        "','.join(words)",
        "messages.get(timeout=1.0)",
        "messages.get(block=False)",
        "process.wait(10)",
        "future.result()",
        "async def f():\n    await event.wait()",
        "from contextvars import ContextVar\nmode = ContextVar('mode')\nmode.get()",
        "from urllib.request import urlopen\nurlopen(url, None, 3.0)",
        "import subprocess\nsubprocess.run(['git'], timeout=5)",
        "import os\nos.path.join()",
        "import requests\nsession = requests.Session()\nsession.get(url, timeout=3.0)",
        "import requests\nwith requests.Session() as s:\n    s.close()",
        "import config\nqueue = config.table\nqueue.get('name')",
        "from qstore_ray.tune.trial.start_barrier import Assembly\na = Assembly(f, 2)\na.wait()",
    ],
    "QS104": [
        "try:\n    f()\nexcept ValueError:\n    x = 0",
        "try:\n    f()\nexcept Exception as e:\n    raise OSError('no') from e",
        "try:\n    f()\nexcept Exception:\n    if a:\n        raise\n    else:\n        raise b",
        "import sys\ntry:\n    f()\nexcept Exception:\n    sys.exit(1)",
        "try:\n    f()\nexcept Exception:\n    with lock:\n        raise",
        "from contextlib import suppress\nwith suppress(OSError):\n    f()",
    ],
    "QS105": [
        "headers = {'Authorization': f'Bearer {token.get_secret_value()}'}",
        "raise ValueError(f'login {token} refused')",
        "import os\nprint(os.environ['HOME'])",
        "client = connect(token.get_secret_value())",
        "log.warning('the token of %s is refused', account.name)",
        "import os\ntoken = os.environ['IBM_TOKEN']\nconnect(token)",
        "import os\nhome = os.environ['HOME']\nprint(home)",
        "import os\nfile = os.environ['IBM_TOKEN_PATH']\nraise ValueError(f'no file {file}')",
    ],
}


def rules_broken(text: str) -> set[str]:
    return {violation.rule for violation in check_source("x.py", text)}


@pytest.mark.parametrize(
    ("rule", "text"), [(rule, text) for rule, texts in BREAKS.items() for text in texts]
)
def test_a_line_that_breaks_a_rule_is_found(rule: str, text: str) -> None:
    assert rule in rules_broken(text)


@pytest.mark.parametrize(
    ("rule", "text"), [(rule, text) for rule, texts in HOLDS.items() for text in texts]
)
def test_a_line_that_keeps_a_rule_is_not(rule: str, text: str) -> None:
    assert rule not in rules_broken(text)


def test_every_rule_has_both_cases_and_says_why_it_exists() -> None:
    ids = [rule.id for rule in CODE_RULES]
    assert ids == sorted(set(ids)) == sorted(BREAKS) == sorted(HOLDS)
    for rule in CODE_RULES:
        assert re.fullmatch(r"QS\d{3}", rule.id)
        assert len(rule.reason) > 40
        assert rule.suggestion.endswith(".")


@pytest.mark.parametrize(
    "text",
    [
        "import random\nrandom.seed(1)  # gate: QS101 because Ray draws there",
        "import random\n# gate: QS101 because Ray draws there\nrandom.seed(1)",
        "import random\n# gate: QS101 because Ray draws there,\n# as it always did\nrandom.seed(1)",
        "import random\nrandom.seed(\n    1,  # gate: QS101 because Ray draws there\n)",
        (
            "import pickle, random\n"
            "random.seed(pickle.loads(x))  # gate: QS101, QS102 because the test is about both"
        ),
    ],
)
def test_a_comment_with_a_reason_suppresses_its_rule(text: str) -> None:
    assert rules_broken(text) == set()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("import random\nrandom.seed(1)  # gate: QS102 because of the file", {"QS101", "QS002"}),
        ("import random\n# gate: QS101 because so\nx = 1\nrandom.seed(1)", {"QS101", "QS002"}),
        ("import random\nrandom.seed(1)  # gate: QS101", {"QS001"}),
    ],
)
def test_a_comment_suppresses_nothing_else(text: str, left: set[str]) -> None:
    assert rules_broken(text) == left


def test_the_suppression_of_a_rule_that_was_not_checked_is_not_called_unused() -> None:
    assert check_source("x.py", "x = 1  # gate: QS101 because it draws", [UNREADABLE]) == []


def test_files_and_folders_are_read_and_named_from_the_root(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "b.py").write_text("import random\n\nrandom.seed(1)\n")
    (tmp_path / "a.py").write_text("thread.join()\n")
    (tmp_path / "a.txt").write_text("not Python\n")
    found = check_files([Path("inner"), Path("a.py")], root=tmp_path)
    assert [(v.path, v.line, v.rule) for v in found] == [
        ("a.py", 1, "QS103"),
        ("inner/b.py", 3, "QS101"),
    ]
    assert str(found[0]).startswith("a.py:1: QS103 .join() waits")
