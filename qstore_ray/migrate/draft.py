"""A job in the making, and the list of what became of each old key."""

from __future__ import annotations

from typing import Any

from qstore_ray.config import set_field
from qstore_ray.credentials import HIDDEN, is_secret, redact_text
from qstore_ray.migrate.key import KeyState, MigratedKey
from qstore_ray.migrate.old_table import OldTable, Unread, is_read
from qstore_ray.types import Table


class JobDraft:
    """Collects fields of a job and the fate of each old key.

    Args:
        name: of the job.
    """

    def __init__(self, name: str) -> None:
        self.job: Table = {"name": name}
        self.keys: list[MigratedKey] = []

    def set(self, field: str, value: Any) -> None:
        """Write a field of the job; of two old keys for one field, the later one counts."""
        set_field(self.job, field, value)

    def take(
        self, table: OldTable, key: str, new: str, value: Any = None, *,
        state: KeyState = "renamed", text: str = "",
    ) -> None:  # fmt: skip
        """Write a key's value, or `value`, to the field `new`; one that is not known is listed."""
        old = table.values[key]
        written = old if value is None else value
        if isinstance(old, Unread) or not is_read(written):
            why = f"it, or a part of it, is computed in the program; write {new} yourself"
            self.note(table, key, "unknown", text=why, new=new)
            return
        if written is None:
            self.note(table, key, "unknown", text=f"it is null; write {new} yourself", new=new)
            return
        self.set(new, written)
        self.note(table, key, state, new=new, new_value=written, text=text)

    def default(self, table: OldTable, key: str, new: str, value: Any, text: str = "") -> None:
        """Write an old default that was not in the file, because the one here differs."""
        self.set(new, value)
        self.keys.append(
            MigratedKey(
                old=f"{table.kind}.{key}", state="default", value=value, new=new, new_value=value,
                text=text,
            )
        )  # fmt: skip

    def drop(self, table: OldTable, key: str, text: str, new: str = "") -> None:
        """List a key without a counterpart: why, and what to do."""
        self.note(table, key, "dropped", text=text, new=new)

    def hide(self, table: OldTable, key: str, text: str) -> None:
        """List a key whose value is a secret, without the value."""
        self.keys.append(
            MigratedKey(
                old=f"{table.kind}.{key}", state="dropped", text=text, line=table.lines.get(key, 0)
            )
        )

    def note(
        self, table: OldTable, key: str, state: KeyState, *, text: str = "", new: str = "",
        new_value: Any = None,
    ) -> None:  # fmt: skip
        """List a key."""
        value = table.values.get(key)
        self.keys.append(
            MigratedKey(
                old=f"{table.kind}.{key}",
                state=state,
                value=_plain(value) if not is_secret(key) else HIDDEN,
                new=new,
                new_value=new_value,
                text=text,
                line=table.lines.get(key, table.line),
            )
        )


def known(table: OldTable, key: str, default: Any = None) -> Any:
    """The value of a key if it is written and known, else `default`."""
    value = table.values.get(key, default)
    return default if isinstance(value, Unread) else value


def _plain(value: Any) -> Any:
    """A value as JSON has it, without logins."""
    if isinstance(value, Unread):
        return value.text
    if isinstance(value, OldTable):
        return value.kind
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        return {
            str(key): HIDDEN if is_secret(str(key)) else _plain(each) for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
