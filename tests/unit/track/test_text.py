"""What may be shown: secrets are hidden wherever they stand, everything else is kept."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretBytes, SecretStr

from qstore_ray.credentials import HIDDEN, redact_text
from qstore_ray.track.logs.text import as_text, cut, flatten, leaves, redact

PLANTED = "hunter2-planted"
SECRET_KEYS = [
    "token", "TOKEN", "auth_token", "ibmToken", "password", "db-password", "passwd", "secret",
    "client_secret", "secrets", "api_key", "apiKey", "apikey", "API_KEY", "access_key",
    "private_key", "credentials",
]  # fmt: skip
PLAIN_KEYS = [
    "max_tokens",
    "tokenizer",
    "secretary",
    "key",
    "keys",
    "keyboard",
    "passes",
    "compass",
]

plain = st.one_of(st.none(), st.booleans(), st.integers(), st.text("abc", max_size=4))
nested = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz"), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("key", SECRET_KEYS)
@pytest.mark.parametrize(
    "value", [PLANTED, [PLANTED], {"inner": PLANTED}, 17], ids=["text", "list", "table", "number"]
)
def test_what_stands_under_a_secret_key_is_hidden(key: str, value: object):
    assert redact({"a": [{key: value}]}) == {"a": [{key: HIDDEN}]}


@pytest.mark.parametrize("key", PLAIN_KEYS)
def test_other_keys_are_kept(key: str):
    assert redact({key: "visible"}) == {key: "visible"}


def test_an_unset_secret_is_still_unset():
    assert redact({"token": None}) == {"token": None}


@pytest.mark.parametrize("secret", [SecretStr(PLANTED), SecretBytes(PLANTED.encode())])
def test_pydantic_secrets_are_hidden_under_any_key(secret: object):
    assert redact({"name": secret, "many": [secret]}) == {"name": HIDDEN, "many": [HIDDEN]}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hunter2@db.local/runs", "postgresql://***@db.local/runs"),
        ("see https://hunter2@host/x and go on", "see https://***@host/x and go on"),
        ("https://host/data?page=2&api_key=hunter2", "https://host/data?page=2&api_key=***"),
        ("https://host/d?X-Amz-Signature=hunter2&y=1", "https://host/d?X-Amz-Signature=***&y=1"),
        ("https://host/data?page=2", "https://host/data?page=2"),
        ("write to me@host.org", "write to me@host.org"),
    ],
)
def test_credentials_in_a_url_are_hidden(url: str, shown: str):
    assert redact_text(url) == shown
    assert redact({"url": url}) == {"url": shown}


@given(nested, st.sampled_from(SECRET_KEYS))
def test_no_planted_secret_survives_and_nothing_else_is_lost(value: object, key: str):
    given_values = {"left": value, key: PLANTED, "right": [{"deep": {key: PLANTED}}]}
    shown = redact(given_values)
    assert PLANTED not in json.dumps(shown)
    assert shown["left"] == value
    assert shown["right"] == [{"deep": {key: HIDDEN}}]


def test_nested_values_become_dotted_texts():
    values = {
        "trainer": {"epochs": 60, "rate": 0.05, "name": "adam", "early": None, "on": True},
        "steps": [{"name": "pca", "to": 8}, 2],
        "empty": {},
        "a=b": 1,
    }
    assert flatten(values, 100) == {
        "trainer.epochs": "60",
        "trainer.rate": "0.05",
        "trainer.name": "adam",
        "trainer.early": "null",
        "trainer.on": "true",
        "steps": '[{"name": "pca", "to": 8}, 2]',
        "empty": "{}",
        "a_b": "1",
    }


@given(st.text(max_size=300), st.integers(40, 200))
def test_a_text_is_cut_only_where_it_is_too_long_and_says_so(text: str, longest: int):
    short = cut(text, longest)
    assert len(short) <= longest
    if len(text) <= longest:
        assert short == text
    else:
        assert short.endswith(f" [cut, {len(text)} characters]")
        assert text.startswith(short.partition(" [cut")[0])


@given(nested)
def test_every_leaf_has_one_name_and_a_text(value: object):
    found = list(leaves({"a": value}))
    assert len({name for name, _ in found}) == len(found)
    assert all(isinstance(as_text(item), str) for _, item in found)
