"""Files that lie beside data and are none, and files of formats that are not read, with the reason.

What is no data is skipped and said: descriptions, licences, checksums, examples of what a
competition wants handed in, and what file managers leave behind. What is data of another format is
refused, with what to save it as.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from qstore_ray.data.sources.parts import part_of_name

_DOCUMENTS = re.compile(
    r"(read[ _-]?me|licen[cs]e|copying|authors|citation|changelog|notice|contributing)"
    r"([-_ ]\w+)?(\.(md|txt|rst|html?|pdf|cff|bib))?"
    r"|.*\.(md|rst|pdf|html?|names|cite|md5|sha1|sha256|sha512|md5sum|sha256sum|sig|asc|torrent)"
    r"|(md5|sha1|sha256|sha512)sums?(\.txt)?|checksums?(\.txt)?"
    r"|desktop\.ini|thumbs\.db|ehthumbs\.db|icon\r?|index"
    r"|(sample|gender)[-_ ]?submission([-_ ]\w+)?\.\w+|submission[-_ ](sample|format)\.\w+"
    r"|dataset[-_]infos?\.json|dataset[-_]metadata\.json|datapackage\.json|croissant\.json"
    r"|(data[-_ ]?(set)?[-_ ]?)?description\.txt|data[-_ ]?dictionary\.txt",
    re.IGNORECASE,
)
_TEXTS = re.compile(r"\.(txt|json)$", re.IGNORECASE)
_BESIDE = (".csv", ".tsv", ".parquet", ".pq", ".jsonl", ".ndjson", ".arff", ".npz", ".npy")
_FEATURES = re.compile(
    r"(?P<word>x|data|features?|inputs?)(?P<part>[-_. ]?\w*)\.(?P<kind>txt|dat|data|csv|tsv)"
    r"(?P<packed>\.(gz|bz2|xz|zst))?",
    re.IGNORECASE,
)
_PREFIXED = re.compile(
    r"(?P<part>(train|test|val)\w*[-_. ])x(?P<rest>\.(txt|dat|data|csv|tsv)(\.(gz|bz2|xz|zst))?)",
    re.IGNORECASE,
)
_LABELLED = re.compile(r"y[-_. ]?(?P<part>\w+)\.(txt|dat|data|csv|tsv)", re.IGNORECASE)
_LABELS = ("y", "label", "labels", "target", "targets")
_PLAIN = ("txt", "dat", "data")
_REFUSED: dict[str, tuple[tuple[str, ...], str, str]] = {
    "pickle": (
        (".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".ckpt"),
        "a pickle, which is never opened: it can run any code",
        "Save arrays x and y as .npz, or a table as Parquet or CSV.",
    ),
    "matlab": (
        (".mat",),
        "a MATLAB file, which is not read",
        "Save the arrays as .npz or HDF5 with the names x and y, or a table as CSV.",
    ),
    "workbook": (
        (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers"),
        "a workbook, which may hold several tables, and is not read",
        "Save the sheet as CSV.",
    ),
    "archive": (
        (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar"),
        "an archive, which is not opened",
        "Unpack it, and give the path of the folder or file in it.",
    ),
    "compressed": (
        (".gz", ".bz2", ".xz", ".zst", ".lz4"),
        "a compressed file of a kind that is not read packed",
        "Unpack it first. Text may be packed: .csv.gz, .csv.bz2, .csv.zst, .jsonl.gz.",
    ),
    "table": (
        (".feather", ".arrow", ".orc", ".avro", ".sav", ".dta", ".sas7bdat", ".rds", ".rdata"),
        "a table of a format that is not read",
        "Save it as Parquet or CSV.",
    ),
    "json": (
        (".json",),
        "one JSON document, which cannot be read in ranges",
        "Write one object a line (.jsonl), or a CSV file.",
    ),
    "database": (
        (".db", ".sqlite", ".sqlite3", ".tfrecord", ".lmdb"),
        "a database, which is not read",
        "Save the table as Parquet or CSV.",
    ),
}


def is_document(where: str) -> bool:
    """Whether a file's name says that it is no data (README.md, desktop.ini, SHA256SUMS)."""
    return _DOCUMENTS.fullmatch(where.rpartition("/")[2]) is not None


def data_among(files: Sequence[str]) -> tuple[str, ...]:
    """The files of data: no documents, and no texts beside tables and arrays of another suffix."""
    kept = tuple(file for file in files if not is_document(file))
    if any(file.lower().endswith(_BESIDE) for file in kept):
        kept = tuple(file for file in kept if not _TEXTS.search(file))
    return kept


def paired(files: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Every two text files of one folder that hold features and labels of the same rows.

    By their names: `X_train.txt` and `y_train.txt`, `data.txt` and `labels.txt`. Tables
    (`.csv`, `.tsv`) are such files only if they are called X and y and name a part, themselves or
    by their folder.
    """
    pairs: list[tuple[str, str]] = []
    known = {file.lower(): file for file in files}
    for file in files:
        folder, slash, name = file.rpartition("/")
        if (first := _PREFIXED.fullmatch(name)) is not None:  # train_X.csv
            other = known.get(f"{folder}{slash}{first['part']}y{first['rest']}".lower())
            if other is not None:
                pairs.append((file, other))
            continue
        found = _FEATURES.fullmatch(name)
        if found is None:
            continue
        kind, part = found["kind"].lower(), found["part"]
        named = part or part_of_name(folder.rpartition("/")[2]).part
        table = kind in ("csv", "tsv") and found["word"].lower() == "x" and named
        if not (kind in _PLAIN or table):
            continue
        for word in _LABELS[:1] if table else _LABELS:
            packed = found["packed"] or ""
            other = known.get(f"{folder}{slash}{word}{part}.{kind}{packed}".lower())
            if other is not None:
                pairs.append((file, other))
    return tuple(pairs)


def without_other_half(files: Sequence[str], pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Files named as features (X) or labels (y) of a part, beside pairs, that are in no pair."""
    paired_files = {file for pair in pairs for file in pair}
    found = []
    for file in files:
        name = file.rpartition("/")[2]
        x = _FEATURES.fullmatch(name)
        features = x is not None and x["word"].lower() == "x" and bool(x["part"])
        if file not in paired_files and (features or _LABELLED.fullmatch(name)):
            found.append(file)
    return tuple(found)


def refused(where: str) -> tuple[str, str] | None:
    """What is wrong with a file of this suffix and how to fix it; None for an unknown suffix."""
    name = where.lower()
    for suffixes, message, fix in _REFUSED.values():
        if name.endswith(suffixes):
            return message, fix
    return None
