"""Whose a study in a database is: one folder's, which has its run folders.

A database holds the studies of many people, and two of them may take the same name. So a study
belongs to the folder that it was created from. When it is created, the folder gets an id
(`study.json`), and the study keeps the id in its user attributes, with the folder's path, the
user and the machine for those who are refused. The id decides, not the path: a folder that was
moved still owns its study. Of a folder that was copied, the original owns it for as long as it is
where it was.

`study.json` also has the URL of the database, without a password, so the folder alone is enough to
find the study. A journal lies in the folder itself and needs none of this.
"""

from __future__ import annotations

import getpass
import json
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

from qstore_ray.config import read_toml
from qstore_ray.errors import ConfigError, RunExistsError, StudyError
from qstore_ray.files import parsed_json, write_durably
from qstore_ray.tune.study.address import absolute, same_database
from qstore_ray.tune.study.recipe import KEY
from qstore_ray.tune.study.storage import JOURNAL

if TYPE_CHECKING:
    import optuna

RECORD: Final = "study.json"
"""The file of a study's folder."""
OWNER: Final = "qstore_owner"
"""The study's user attribute."""


@dataclass(frozen=True)
class FolderRecord:
    """What a folder knows of its study in a database: an id, the study's name and address."""

    id: str
    study: str
    storage_url: str


class FolderPlace(TypedDict):
    """A folder, and whose it is on which machine."""

    folder: str
    user: str
    host: str


class StudyOwner(FolderPlace):
    """What a study in a database says about the folder that owns it: the id in its record."""

    id: str


def read_record(folder: Path) -> FolderRecord | None:
    """The record of a study's folder; None without one, as where the study is a journal.

    Raises:
        StudyError: it is damaged.
    """
    path = folder / RECORD
    try:
        return FolderRecord(**parsed_json(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise StudyError(
            f"cannot use the study's folder: {exc.strerror or type(exc).__name__}",
            field="storage",
            value=str(folder),
            fix="Give a folder as storage that you may read and write.",
        ) from exc
    except (ValueError, TypeError) as exc:
        raise StudyError(
            "cannot read the record of the study's folder",
            field="storage",
            value=str(path),
            fix="Put back a copy of it, or begin again under another name.",
        ) from exc


def make_record(folder: Path, url: str) -> FolderRecord:
    """Give a folder its record, or renew its address; the id stays.

    Raises:
        OSError: as the system says.
    """
    earlier = read_record(folder)
    made = FolderRecord(
        earlier.id if earlier else secrets.token_hex(16), folder.name, absolute(url)
    )
    if made != earlier:
        write_durably(folder / RECORD, (json.dumps(asdict(made), indent=1) + "\n").encode())
    return made


def recorded_url(folder: Path) -> str | None:
    """The database of a folder's study: from its record, or the job that an earlier version left.

    Raises:
        StudyError: the record is damaged.
    """
    record = read_record(folder)
    if record is None and (folder / JOURNAL).exists():
        return None
    return record.storage_url if record else _url_of_job(folder)


def study_folders(storage: Path) -> list[str]:
    """Names of the folders below `storage` that have a study."""
    found = (path.parent.name for name in (JOURNAL, RECORD) for path in storage.glob(f"*/{name}"))
    return sorted(set(found))


def check_owner(study: optuna.Study, folder: Path, url: str, *, deletes: bool = False) -> None:
    """Check that a study in a database is this folder's.

    Args:
        deletes: the study is to be deleted, as an unused one may be.

    Raises:
        RunExistsError: it is another folder's, or not one of ours.
    """
    attributes = study.user_attrs
    owner, record = attributes.get(OWNER), read_record(folder)
    if owner is not None:
        if not _is_owner(owner, record, folder):
            raise _other_owner_error(study.study_name, owner)
        return
    if KEY in attributes:  # of a version that wrote no owner: known by the job in its folder
        job_url = _url_of_job(folder)
        if not (record or (job_url and same_database(job_url, url))):
            raise _unknown_owner_error(study.study_name)
    elif study.get_trials(deepcopy=False):
        raise foreign_study_error(study.study_name)
    elif not (record or deletes):
        raise _unknown_owner_error(study.study_name)


def claim(study: optuna.Study, folder: Path, record: FolderRecord) -> None:
    """Write into the study that it is this folder's, where the folder is now."""
    owner: StudyOwner = {"id": record.id, **_here(folder)}
    if study.user_attrs.get(OWNER) != owner:
        study.set_user_attr(OWNER, owner)


def foreign_study_error(name: str) -> RunExistsError:
    """The error for a study that another program has made."""
    return RunExistsError(
        "there is a study of this name that is not ours",
        field="name",
        value=name,
        fix="Take another name; warm_start can learn from it.",
    )


def _is_owner(owner: StudyOwner, record: FolderRecord | None, folder: Path) -> bool:
    here = _here(folder)
    if record is None:  # the folder was deleted, and this is its place
        return all(owner.get(key) == value for key, value in here.items())
    if owner.get("id") != record.id:
        return False
    earlier = Path(str(owner.get("folder")))
    if owner.get("host") != here["host"] or earlier == folder:
        return True
    return not _has_id(earlier, record.id) or earlier.samefile(folder)


def _has_id(folder: Path, wanted: str) -> bool:
    try:
        record = read_record(folder)
    except StudyError:  # another user's, or damaged: nothing says that it is the original
        return False
    return record is not None and record.id == wanted


def _here(folder: Path) -> FolderPlace:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "unknown"
    return {"folder": str(folder), "user": user, "host": socket.gethostname()}


def _url_of_job(folder: Path) -> str | None:
    if (folder / "run.json").exists():  # a run's job may have a search in it, too
        return None
    try:
        tune = read_toml(folder / "config.toml").get("tune", {})
    except ConfigError:
        return None
    url = tune.get("storage_url") if isinstance(tune, dict) else None
    return url if isinstance(url, str) else None


def _other_owner_error(name: str, owner: StudyOwner) -> RunExistsError:
    return RunExistsError(
        f"the study {name!r} in this database belongs to the folder {owner.get('folder')} of "
        f"{owner.get('user')} on {owner.get('host')}",
        field="name",
        value=name,
        fix="Take another name, or continue it from that folder; warm_start can learn from it.",
    )


def _unknown_owner_error(name: str) -> RunExistsError:
    return RunExistsError(
        f"the study {name!r} in this database was not begun from this folder",
        field="name",
        value=name,
        fix="Take another name, or continue it from the folder with its trials; warm_start can "
        "learn from it.",
    )
