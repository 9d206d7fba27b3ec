"""The parameters of local files, for all formats; each format says which of them it takes."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError

FormatName = Literal[
    "npz", "npy", "idx", "csv", "images", "hdf5", "parquet", "jsonl", "arff", "libsvm"
]
Pixels = Annotated[int, Field(ge=1)]


class LocalParams(Config):
    """Where the files are and how to read them; only `path` is needed.

    Args:
        path: a file, a folder, a pattern such as `data/*.csv`, or a URI. Files or folders that are
            named for train, val or test bring official parts.
        train, val, test: in place of `path`: which files are which part, each a file, a folder, a
            pattern or a URI. What is not given is cut from train.
        format: the format; by the file's suffix by default.
        y_path: the labels, where they are in a second file: `.npy`, IDX, a text file with one
            label for each row of a CSV file, or for images a CSV file with the columns filename
            and label.
        x, y: names of the arrays in a `.npz` or HDF5 file; by default `x` and `y`, or `x_train`
            and `y_train`.
        x_val, y_val, x_test, y_test: names of the official validation and test arrays; arrays
            that have just these names are used without being asked for.
        delimiter: what separates CSV values; a blank means any run of blanks and tabs. By
            default a comma, or what the first lines are evidently separated by; in `.tsv` files a
            tab.
        decimal: the decimal sign of CSV files.
        comment: lines of CSV files that begin with this sign are left out.
        thousands: a sign between every three digits of a number in CSV files, as in 1,234,567.
        skip_lines: how many lines of a CSV file come before the header or the first row.
        header: whether the first line of a CSV file names the columns; else they are f0, f1, ….
            By default it does, and a first line that looks like a row is an error.
        encoding: of CSV files.
        missing: texts and numbers that stand for a missing value in tables; by default those of
            pandas (an empty value, NA, NaN, None, null, …). An empty value always does.
        label_type: how labels in tables in text are read; by default as numbers where all of them
            are and are written as numbers are (00 and 1e3 are names).
        size: height and width to which images are resized (bilinear).
        mode: grey (`L`) or colour (`RGB`) images; by default as the first one is.
        bad_images: whether an unreadable image is an error, or left out and counted.
        max_bad_share: share of images that may be left out.
        max_bytes: largest size of one array, or of what one task reads.
        max_ratio: how many times its size a packed array may unpack to.
        max_pixels: largest image.
        max_line_bytes: longest line of CSV and JSONL files.
        max_columns: most columns of a table.
        rows_per_task: rows that one read task returns; Parquet is cut between row groups only.
    """

    path: str | None = Field(default=None, min_length=1, examples=["data/*.csv"])
    train: str | None = Field(default=None, min_length=1)
    val: str | None = Field(default=None, min_length=1)
    test: str | None = Field(default=None, min_length=1)
    format: Literal["auto"] | FormatName = "auto"
    y_path: str | None = None
    x: str | None = None
    y: str | None = None
    x_val: str | None = None
    y_val: str | None = None
    x_test: str | None = None
    y_test: str | None = None
    delimiter: str | None = Field(default=None, pattern=r"^[^\"\r\n\x00]$")
    decimal: Literal[".", ","] = "."
    comment: str | None = Field(default=None, pattern=r"^[^\"\r\n\x00\w]$")
    thousands: Literal[",", ".", " ", "'"] | None = None
    skip_lines: int = Field(default=0, ge=0)
    header: bool | None = None
    encoding: Literal["utf-8", "latin-1", "cp1252"] = "utf-8"
    missing: tuple[str | int | float, ...] | None = None
    label_type: Literal["auto", "number", "text"] = "auto"
    size: tuple[Pixels, Pixels] | None = None
    mode: Literal["L", "RGB"] | None = None
    bad_images: Literal["fail", "skip"] = "fail"
    max_bad_share: float = Field(default=0.01, ge=0.0, le=1.0)
    max_bytes: int = Field(default=2**30, ge=1)
    max_ratio: int = Field(default=500, ge=1)
    max_pixels: int = Field(default=2**26, ge=1)
    max_line_bytes: int = Field(default=2**23, ge=1)
    max_columns: int = Field(default=100_000, ge=1)
    rows_per_task: int = Field(default=65_536, ge=1)

    @model_validator(mode="after")
    def _belongs(self) -> Self:
        for suffix in ("", "_val", "_test"):
            x, y = (getattr(self, f"{name}{suffix}") for name in "xy")
            if (x is None) != (y is None):
                raise ConfigError(
                    f"x{suffix} and y{suffix} go together", field=f"x{suffix}", fix="Name both."
                )
        self._check_paths()
        path = self.path or ""
        alone = path.lower().endswith(".npy") and self.format in ("auto", "npy")
        if alone and self.y_path is None:
            raise ConfigError(
                "the labels of a .npy file are in a second .npy file",
                field="y_path",
                fix='Set path = "x.npy" and y_path = "y.npy", or give a folder with both.',
            )
        if self.thousands == self.decimal:
            raise ConfigError(
                "the same sign between digits and before decimals",
                field="thousands",
                value=self.thousands,
                fix='Set decimal too: thousands = "." goes with decimal = ",".',
            )
        if self.size is not None and self.size[0] * self.size[1] > self.max_pixels:
            raise ConfigError(
                f"more than {self.max_pixels:,} pixels",
                field="size",
                value=self.size,
                fix="Take a smaller size, or raise max_pixels.",
            )
        return self

    def _check_paths(self) -> None:
        parts = [part for part in ("train", "val", "test") if getattr(self, part) is not None]
        if self.path is None and not parts:
            raise ConfigError(
                "this field is required", field="path", fix='Write path = "data/*.csv".'
            )
        if self.path is not None and parts:
            raise ConfigError(
                f"path and {' and '.join(parts)} are two ways to say where the files are",
                field=parts[0],
                value=getattr(self, parts[0]),
                fix="Give the path as train, or leave the others out.",
            )
        if parts and "train" not in parts:
            raise ConfigError(
                "there is no train", field="train", fix='Write train = "…" beside it.'
            )
        if parts and self.y_path is not None:
            raise ConfigError(
                "one file of labels belongs to one path",
                field="y_path",
                value=self.y_path,
                fix="Give a folder with the parts as params.path.",
            )
