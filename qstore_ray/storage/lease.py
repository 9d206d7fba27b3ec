"""Who may write a run: an object that its holder renews, since an object store has no locks.

    .lock    {"token": …, "beat": 7, "host": …, "pid": …, "since": …, "stage": …, "released": false}

It is taken by creating it, or by replacing the one that was read; of racing attempts one wins. The
holder writes it again every few seconds. One that was not written for `SECONDS` has a dead holder.
Its age is the difference of two times of the store's own clock, so the clocks of the machines do
not matter. A lease of this machine's stage whose folder nobody has locked has a dead holder too, so
a run that was killed here is resumed at once.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict

from qstore_ray.deadline import join_patiently
from qstore_ray.errors import RunExistsError, StorageError
from qstore_ray.files import parsed_json
from qstore_ray.storage.address import stage_root

if TYPE_CHECKING:
    from qstore_ray.storage.objects import Objects, StoredObject

LEASE = ".lock"
SECONDS, BEAT_SECONDS = 30.0, 5.0
_PAUSE_SECONDS = 0.5


class LeaseHolder(TypedDict):
    """What a lease says. `token` is the holder's; `stage` says on which machine it works."""

    token: str
    beat: int
    host: str
    pid: int
    since: str
    stage: str
    released: bool


class Lease:
    """A lease that this process holds, and renews in a thread until `release`.

    Attributes:
        token: its holder, for `check_holder` in other processes.
    """

    def __init__(self, objects: Objects, holder: LeaseHolder, tag: str) -> None:
        self._objects, self._holder, self._tag = objects, holder, tag
        self.token = holder["token"]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="qstore_ray-lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise `StorageError` if another attempt holds the lease by now."""
        check_holder(self._objects, self.token)

    def release(self) -> None:
        """Let the next attempt have it at once; if that fails, it has to wait for `SECONDS`."""
        self._done.set()
        join_patiently(self._thread, "the object store, to give up the lease of the run")
        with suppress(StorageError):
            self._write({**self._holder, "released": True})

    def _renew(self) -> None:
        while not self._done.wait(BEAT_SECONDS):
            with suppress(StorageError):  # tried again at the next beat
                if not self._write({**self._holder, "beat": self._holder["beat"] + 1}):
                    return  # taken over: the next write of the run finds out

    def _write(self, holder: LeaseHolder) -> bool:
        tag = self._objects.replace(LEASE, json.dumps(holder).encode(), self._tag)
        if tag is None:
            return False
        self._holder, self._tag = holder, tag
        return True


def take_lease(objects: Objects, name: str, kind: str = "run") -> Lease:
    """Take the lease of a run whose folder on this machine is locked by this process.

    If another attempt holds it, this waits until that has renewed it, and so lives, or is dead.

    Raises:
        RunExistsError: another attempt holds it, and lives; the error is `locked`.
        StorageError: the object store cannot be used.
    """
    holder: LeaseHolder = {
        "token": secrets.token_hex(16),
        "beat": 0,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": datetime.now(UTC).isoformat(" ", "seconds").removesuffix("+00:00"),
        "stage": _stage_name(),
        "released": False,
    }
    data = json.dumps(holder).encode()
    tag, seen = objects.create(LEASE, data), ""
    while tag is None:
        found = objects.read(LEASE)
        if found is None:
            tag = objects.create(LEASE, data)
        elif _is_over(objects, found):
            tag = objects.replace(LEASE, data, found.tag)
            if tag is None:  # another attempt was faster
                raise lease_error(objects, name, kind)
        elif seen in ("", found.tag):
            if not seen:
                sys.stderr.write(f"note: {_waiting(found, kind)}\n")
            seen = found.tag
            time.sleep(_PAUSE_SECONDS)
        else:  # it was renewed
            raise lease_error(objects, name, kind)
    return Lease(objects, holder, tag)


def _waiting(found: StoredObject, kind: str) -> str:
    who = _holder(found) or "another process"
    return f"{who} has this {kind} open; waiting at most {SECONDS:.0f} s for a sign of life"


def lease_error(objects: Objects, name: str, kind: str = "run") -> RunExistsError:
    """The error for a run whose lease another attempt holds, with what the lease says about it."""
    found = objects.read(LEASE)
    return RunExistsError.while_open(kind, name, "" if found is None else _holder(found))


def _holder(found: StoredObject) -> str:
    """Which process has the lease, in words; empty if it does not say."""
    said = _parsed(found)
    if not {"pid", "host", "since"} <= said.keys():
        return ""
    return f"another process, {said['pid']} on {said['host']} since {said['since']} UTC,"


def check_holder(objects: Objects, token: str) -> None:
    """Refuse to write for an attempt that another one has taken over from.

    Raises:
        StorageError: the lease is not this attempt's.
    """
    found = objects.read(LEASE)
    if found is None:
        raise StorageError(
            "the objects of this run have been deleted from the object store",
            field="storage",
            fix="Nothing more is written there. Find out who deletes them before you begin anew.",
        )
    if _parsed(found).get("token") != token:
        raise StorageError(
            "another attempt has taken this run over, since this one was not heard of for "
            f"{SECONDS:.0f} s",
            field="name",
            fix="Nothing more is written by this one. Continue with existing='resume' when the "
            "other has ended.",
        )


def is_holder(objects: Objects, token: str) -> bool:
    """Whether the lease is, or was last, the one of this token."""
    found = objects.read(LEASE)
    return found is not None and _parsed(found).get("token") == token


def is_leased(objects: Objects) -> bool:
    """Whether an attempt seems to hold the lease; only asks, by this machine's clock."""
    found = objects.read(LEASE)
    if found is None or _is_given_up(found):
        return False
    known = objects.facts(LEASE)
    # gate: QS206 because the store has no other clock
    return known is not None and (datetime.now(UTC) - known.modified).total_seconds() < SECONDS


def _is_over(objects: Objects, found: StoredObject) -> bool:
    """Whether the holder has let go of it, or is dead."""
    return _is_given_up(found) or _age(objects) >= SECONDS


def _is_given_up(found: StoredObject) -> bool:
    """Whether it was released, or its holder worked in the stage of this machine, which is free."""
    said = _parsed(found)
    return bool(said.get("released")) or said.get("stage") == _stage_name()


def _age(objects: Objects) -> float:
    """Seconds since the lease was written, by the clock of the store."""
    probe = f"{LEASE}-asked-{secrets.token_hex(8)}"
    objects.put(probe, b"")
    try:
        now, then = objects.facts(probe), objects.facts(LEASE)
        return (
            0.0 if now is None or then is None else (now.modified - then.modified).total_seconds()
        )
    finally:
        objects.delete(probe)


def _parsed(found: StoredObject) -> dict[str, Any]:
    try:
        said = parsed_json(found.data)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _stage_name() -> str:
    """What distinguishes this machine's stages from all others."""
    file = stage_root() / ".id"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError), file.open("x", encoding="ascii") as new:
            new.write(secrets.token_hex(16))
        return file.read_text(encoding="ascii")
    except OSError:  # whoever writes there next says so
        return ""
