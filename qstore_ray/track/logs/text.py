"""What of a configuration may leave the process, and as which text.

Trackers show values to many people and keep them for years. So a value goes through `redact`
before anything else, and through `flatten` to become the short texts that a tracker can hold.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeGuard

from pydantic import SecretBytes, SecretStr

from qstore_ray.credentials import HIDDEN, is_secret, redact_text

_SAID = re.compile(
    r"(?<![a-z])((?:token|password|passwd|passphrase|secret|credentials?"
    r"|(?:api|access|private)_?key)[\"']?\s*[=:]\s*[\"']?|bearer\s+)[^\s\"',;)}\]]+",
    re.IGNORECASE,
)
_NOT_IN_A_KEY = re.compile(r"[^\w. /:-]")
_LONGEST_KEY: Final = 250
_NOT_METRICS: Final = frozenset({"event", "epoch", "step", "generation"})


def redact(value: Any, key: str = "") -> Any:
    """A copy of nested values with every secret replaced by `***`.

    A secret is a pydantic SecretStr or SecretBytes, any value under a key of a secret
    (`token`, `password`, `secret`, `api_key`, `ibmToken`, …), and the credentials inside a URL.
    """
    if isinstance(value, SecretStr | SecretBytes):
        return HIDDEN
    if key and value is not None and is_secret(key):
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(name): redact(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return redact_text(value) if isinstance(value, str) else value


def redact_message(text: str, secrets: Iterable[str] = ()) -> str:
    """A sentence without `token=…`, `password: …`, `Bearer …`, secrets in URLs, and `secrets`.

    For free text, in which a value has no key that identifies it as a secret.
    """
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return redact_text(_SAID.sub(rf"\1{HIDDEN}", text))


def flatten(values: Mapping[str, object], longest: int) -> dict[str, str]:
    """Nested values as dotted names and text: lists as JSON, long texts cut with a note."""
    return {key: cut(as_text(value), longest) for key, value in leaves(values)}


def leaves(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and value of everything in nested tables; an empty table is a value itself."""
    for name, value in values.items():
        key = prefix + _NOT_IN_A_KEY.sub("_", str(name))
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{key}.")
        else:
            yield key[:_LONGEST_KEY], value


def as_text(value: Any) -> str:
    """Text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def cut(text: str, longest: int) -> str:
    """`text` in at most `longest` characters; a cut text ends with its true length."""
    if len(text) <= longest:
        return text
    note = f" [cut, {len(text)} characters]"
    return text[: longest - len(note)] + note


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a metric can be drawn from it: any float, and an int that a float can hold. True and
    False are no numbers here.
    """
    if isinstance(value, bool | float):
        return not isinstance(value, bool)
    return isinstance(value, int) and abs(value) <= sys.float_info.max


def metrics_of(record: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    """Name and value of every metric of an `epoch` record, without its position fields."""
    for key, value in record.items():
        if key not in _NOT_METRICS and is_number(value):
            yield key, float(value)
