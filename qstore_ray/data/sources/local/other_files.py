"""Files that lie beside data and are none, and files of formats that are not read, with the reason.

What is no data is skipped and said: descriptions, licences, checksums, examples of what a
competition wants handed in, and what file managers leave behind. What is data of another format is
refused, with what to save it as. The content of a file that could not be read may say that it is of
another format than its name says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from qstore_ray.data.files.files import open_file
from qstore_ray.data.sources.parts import part_of_name
from qstore_ray.errors import DataError

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
_PACKED = (".gz", ".bz2", ".zst")
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
    "recording": (
        (".dcm", ".nii", ".nii.gz", ".fits", ".edf", ".wav", ".mp3", ".flac", ".mp4", ".avi"),
        "a recording of a format that is not read",
        "Save features and labels as arrays x and y in .npz.",
    ),
    "hierarchy": (
        (".h5ad", ".loom", ".nc", ".root", ".xml", ".html", ".htm", ".geojson", ".safetensors"),
        "a file of a format that is not read",
        "Save features and labels as arrays x and y in .npz, or a table as Parquet or CSV.",
    ),
    "save_to_disk": (
        (".arrow", "/dataset_dict.json", "/state.json"),
        "an Arrow file, as `save_to_disk` of Hugging Face's datasets writes it, which is not read",
        'Write each split as Parquet: datasets.load_from_disk(folder).to_parquet("train.parquet").',
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
        (".feather", ".orc", ".avro", ".sav", ".dta", ".sas7bdat", ".rds", ".rdata", ".rda"),
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

_LOOKED_AT = 256
_FILES_LOOKED_AT = 20
_RENAME = "Give the file the suffix of its format"
_CONTENTS: tuple[tuple[bytes, tuple[str, ...], str, str], ...] = (
    (
        b"version https://git-lfs",
        (),
        "a pointer of Git LFS in place of the file",
        "Fetch the file itself: run git lfs pull in the repository that it is from.",
    ),
    (b"<!doctype html", (), "a web page", "Fetch the file itself: this may be a page to log in."),
    (b"<html", (), "a web page", "Fetch the file itself: this may be a page to log in."),
    (b"\x1f\x8b", (".gz",), "packed by gzip", f"{_RENAME} and of its packing, such as .csv.gz."),
    (b"bzh", (".bz2",), "packed by bzip2", f"{_RENAME} and of its packing, such as .csv.bz2."),
    (b"\x28\xb5\x2f\xfd", (".zst",), "packed by zstd", f"{_RENAME} and of its packing: .csv.zst."),
    (b"pk\x03\x04", (".npz",), "a zip archive or a workbook", "Unpack it; save a sheet as CSV."),
    (b"\xd0\xcf\x11\xe0", (), "a workbook", "Save the sheet as CSV."),
    (b"par1", (".parquet", ".pq"), "Parquet", f"{_RENAME}: .parquet."),
    (b"\x89hdf", (".h5", ".hdf5"), "HDF5", f"{_RENAME}: .h5."),
    (b"\x93numpy", (".npy",), "an array of numpy", f"{_RENAME}: .npy."),
    (b"sqlite format 3", (), "a database", "Save the table as Parquet or CSV."),
    (b"%pdf", (), "a PDF document", "Save the table as CSV."),
)
"""First bytes, in lower case; the suffixes that go with them; what the file is, and what to do."""


@contextmanager
def content_told(files: Sequence[str]) -> Iterator[None]:
    """If reading the files fails and one has another content than its name says, say that.

    Raises:
        DataError: of the block; of one of the files if its first bytes are of another format.
    """
    try:
        yield
    except DataError as exc:
        for file in files[:_FILES_LOOKED_AT]:
            if Path(file).is_file() and (found := _content(file)):
                what, fix = found
                raise DataError(
                    f"the file holds {what}, not what its name says", field=file, fix=fix
                ) from exc
        raise


def _content(where: str) -> tuple[str, str] | None:
    """What a file is and what to do, where its first bytes are those of another format."""
    with open_file(where) as stream:
        head = stream.read(_LOOKED_AT).lower()
    name = where.lower()
    for sign, suffixes, what, fix in _CONTENTS:
        if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(sign) or head.startswith(sign):
            return None if name.endswith(suffixes) else (what, fix)
    if name.endswith(_PACKED) and head.isascii() and b"\0" not in head and head:
        return "plain, unpacked text", f"Remove {name[name.rindex('.') :]} from its name."
    return None


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
