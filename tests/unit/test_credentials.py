"""Logins in URLs: used to connect, and in no text that is written."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.credentials import PublicUrl, login_url, redact_text, without_login
from qstore_ray.errors import ConfigError
from qstore_ray.track.config import TrackConfig

VARIABLES = "MLFLOW_TRACKING"
PLANTED = "hunter2-planted"


@pytest.fixture(autouse=True)
def _no_login_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("URI", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"{VARIABLES}_{name}", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.mark.parametrize(
    ("url", "public"),
    [
        (f"postgresql://ann:{PLANTED}@db:5432/runs", "postgresql://ann@db:5432/runs"),
        (f"postgresql+psycopg://ann:{PLANTED}/x@db/runs", "postgresql+psycopg://ann@db/runs"),
        (f"postgresql://db/runs?user=ann&password={PLANTED}", "postgresql://db/runs?user=ann"),
        (f"postgresql://db/runs?password={PLANTED}", "postgresql://db/runs"),
        (f"http://ann:{PLANTED}@host:5000", "http://host:5000"),
        (f"https://{PLANTED}@host/mlflow", "https://host/mlflow"),
        (f"https://a:b{PLANTED}@c@host/x@y", "https://host/x@y"),
        (f"http://host/?a=1&token={PLANTED}&b=2", "http://host/?a=1&b=2"),
        (f"HTTPS://ann:{PLANTED}@host", "HTTPS://host"),
        ("postgresql://ann@db/runs", "postgresql://ann@db/runs"),
        ("postgresql://db/runs?sslkey=/home/ann/key.pem", None),
        ("sqlite:////data/a%20b.db", None),
        ("http://127.0.0.1:5000", None),
        ("http://127.0.0.1:5000/a:b@c", None),
        ("no url", None),
        ("", None),
    ],
)
def test_the_password_goes_and_all_else_stays(url: str, public: str | None):
    found = without_login(url)
    assert found == (url if public is None else public)
    assert PLANTED not in found
    assert without_login(found) == found
    assert PLANTED not in redact_text(f"cannot reach {url!r} now")


@given(
    st.sampled_from(["postgresql", "mysql+pymysql", "http", "https"]),
    st.text("abcXYZ019%-._~!$&'()*+,;=", min_size=1),
    st.text("abc", min_size=1),
)
def test_no_password_is_left_whatever_it_is_made_of(scheme: str, password: str, host: str):
    url = f"{scheme}://ann:<{password}>@{host}/runs"
    assert f"<{password}>" not in without_login(url)
    assert f"<{password}>" not in redact_text(f"a text with {url} in it")
    assert login_url(PublicUrl(url), VARIABLES) == url


def test_a_public_url_is_public_in_every_text_and_copy():
    url = f"postgresql://ann:{PLANTED}@db/runs"
    public = PublicUrl(url)
    texts = [
        str(public), repr(public), f"{public}", json.dumps([public]),
        pickle.dumps(public).decode("latin1"), repr({"url": public}), "".join(public),
    ]  # fmt: skip
    assert not [text for text in texts if PLANTED in text]
    assert public == "postgresql://ann@db/runs"
    for same in (public, PublicUrl(public), copy.copy(public), copy.deepcopy(public)):
        assert login_url(same, VARIABLES) == url
    assert login_url(pickle.loads(pickle.dumps(public)), VARIABLES) == str(public)


def test_a_configuration_has_the_login_in_memory_alone():
    config = TrackConfig(mlflow_uri=f"http://ann:{PLANTED}@host:5000")
    written = [config.to_toml(), json.dumps(config.to_dict()), repr(config), str(config)]
    assert not [text for text in written if PLANTED in text]
    again = config.model_copy(update={"experiment": "other"})
    assert login_url(again.mlflow_uri or "", VARIABLES) == f"http://ann:{PLANTED}@host:5000"
    another = TrackConfig(mlflow_uri=config.mlflow_uri, experiment="other")
    assert login_url(another.mlflow_uri or "", VARIABLES) == f"http://ann:{PLANTED}@host:5000"
    assert PLANTED not in another.to_toml()
    assert config.fingerprint() == TrackConfig(mlflow_uri="http://host:5000").fingerprint()


def test_an_error_about_a_url_has_no_password():
    with pytest.raises(ConfigError) as caught:
        TrackConfig(mlflow_url=f"http://ann:{PLANTED}@host")
    assert PLANTED not in str(caught.value)
    assert PLANTED not in json.dumps(caught.value.as_dict())
    with pytest.raises(ConfigError) as caught:
        TrackConfig(mlflow_uri=f"ftp://ann:{PLANTED}@host/x")
    assert PLANTED not in f"{caught.value} {caught.value.as_dict()}"


# ------------------------------------------------------------------- where the login comes from

KEPT = "postgresql://ann@db:5432/runs"


def test_without_any_login_the_url_stays(monkeypatch: pytest.MonkeyPatch):
    assert login_url(KEPT, VARIABLES) == KEPT
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql://ann:{PLANTED}@other/runs")
    assert login_url(KEPT, VARIABLES) == KEPT


def test_the_environment_may_have_the_whole_url(monkeypatch: pytest.MonkeyPatch):
    whole = KEPT.replace("ann@", f"ann:{PLANTED}@")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", whole)
    assert login_url(KEPT, VARIABLES) == whole
    own = KEPT.replace("ann@", "ann:mine@")
    assert login_url(own, VARIABLES) == own


def test_the_environment_may_have_name_and_password(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "p@ss/word")
    assert login_url(KEPT, VARIABLES) == "postgresql://ann:p%40ss%2Fword@db:5432/runs"
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "eve")
    assert login_url("mysql://db/runs", VARIABLES) == "mysql://eve:p%40ss%2Fword@db/runs"
    # MLflow takes these itself where it asks a server.
    assert login_url("http://host:5000", VARIABLES) == "http://host:5000"
    assert login_url("sqlite:////data/x.db", VARIABLES) == "sqlite:////data/x.db"


def test_a_file_that_nobody_else_can_read_may_have_them(tmp_path: Path):
    file = tmp_path / "netrc"
    file.write_text(f"machine db login ann password {PLANTED}\n")
    file.chmod(0o600)
    whole = f"postgresql://ann:{PLANTED}@db"
    assert login_url("postgresql://db/runs", VARIABLES) == f"{whole}/runs"
    assert login_url(KEPT, VARIABLES) == f"{whole}:5432/runs"
    assert login_url("postgresql://eve@db/runs", VARIABLES) == "postgresql://eve@db/runs"
    assert login_url("postgresql://other/runs", VARIABLES) == "postgresql://other/runs"
    file.chmod(0o644)
    with pytest.raises(PermissionError, match="chmod 600"):
        login_url(KEPT, VARIABLES)
    file.chmod(0o600)
    file.write_text("machine\n")
    with pytest.raises(OSError, match=r"line 2 of .* is damaged") as caught:
        login_url(KEPT, VARIABLES)
    assert PLANTED not in str(caught.value)
