"""Shared parts of all figures: colours, an empty figure, and export to PNG or SVG.

Figures are drawn on Figure objects, not through pyplot, so matplotlib's global state stays
unchanged and any thread may draw. The colours are Okabe and Ito's (2008), which are distinguishable
under every common colour blindness; training is always blue, validation always vermilion.

Equal figures are equal files: neither format contains a date or a version, and the names inside an
SVG, which matplotlib draws at random, are replaced by numbers.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from qstore_ray.errors import RunError
from qstore_ray.files import unwritable_fix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Format: TypeAlias = Literal["png", "svg"]

Picture: TypeAlias = "Figure"
"""A figure, for callers that know nothing of matplotlib."""

BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
GREEN: Final = "#009E73"
PURPLE: Final = "#CC79A7"
ORANGE: Final = "#E69F00"
SKY: Final = "#56B4E9"
BLACK: Final = "#000000"
PALETTE: Final = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
"""Okabe and Ito's colours without yellow, which is hardly visible on white."""

SEQUENTIAL: Final = "cividis"
"""A colour map for the colour-blind, in which lightness alone encodes the value."""

_DPI: Final = 120
_OTHER_WRITINGS: Final = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC",
    "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "Microsoft YaHei", "SimHei",
    "PingFang SC", "Hiragino Sans", "Yu Gothic", "Malgun Gothic", "Apple SD Gothic Neo",
    "Noto Sans Arabic", "Noto Sans Devanagari", "Noto Sans Thai", "Noto Sans Hebrew",
    "Arial Unicode MS", "Noto Sans", "Unifont",
)  # fmt: skip
"""Fonts of other writings, in the order in which a letter is looked for."""
_HEAD = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)
_NAME = re.compile(r'\bid="([^"]+)"')
_NAMED = re.compile(r'\bid="([^"]+)"|(?<=["(])#([^")]+)(?=[")])')


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that leaves room for its labels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    figure = Figure(figsize=(width, height), dpi=_DPI, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def plain(text: str) -> str:
    r"""`text` to be shown as it is: a dollar sign begins no formula, control characters are gone.
    A letter that no font of this machine has is shown by its number, such as \u732b.
    """
    drawn = (_shown(c) if c.isprintable() else "�" for c in text)
    return "".join(drawn).replace("$", r"\$")


def class_labels(names: Sequence[str]) -> list[str]:
    """Names of classes for a figure: all unchanged, or all replaced by numbers if this machine has
    no font for some of them. Tables and files keep the names.
    """
    if all(c in _drawable() or not c.isprintable() for name in names for c in name):
        return list(names)
    return [f"class {number}" for number in range(len(names))]


def drawn_names(names: Sequence[str]) -> list[str]:
    """Names of classes beside a figure: `class 0: 猫` where the figure has the number."""
    drawn = class_labels(names)
    return [n if n == d else f"{d}: {n}" for d, n in zip(drawn, names, strict=True)]


def _shown(letter: str) -> str:
    return letter if letter in _drawable() else f"\\u{ord(letter):04x}"


@cache
def _drawable() -> frozenset[str]:
    """The letters that the fonts of a figure have."""
    return frozenset().union(*map(_charmap, _fonts()))


def _charmap(font: str) -> frozenset[str]:
    """The letters that a font has."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(map(chr, get_font(findfont(FontProperties(family=[font]))).get_charmap()))


@cache
def _fonts() -> tuple[str, ...]:
    """The fonts of a figure: matplotlib's own, and the installed ones for other scripts."""
    from matplotlib.font_manager import fontManager

    there = {entry.name for entry in fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in _OTHER_WRITINGS if name in there))


def short(name: str, longest: int = 18) -> str:
    """A name in at most `longest` characters, shown as it is."""
    return plain(name if len(name) <= longest else name[: longest - 1] + "…")


def finish(axes: Axes) -> None:
    """Light grid, no box: the look of everything with two numeric axes."""
    axes.grid(alpha=0.25, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as the suffix of `path` says, .png or .svg; the path.

    Raises:
        RunError: the file cannot be written.
    """
    drawn = svg_file(figure) if path.suffix == ".svg" else png(figure)
    try:
        path.write_bytes(drawn)
    except OSError as exc:
        raise unwritable_error(path, exc) from exc
    return path


def png(figure: Figure) -> bytes:
    """The figure as a PNG file. No version inside: equal runs, equal files."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    details: dict[str, Any] = {"Software": None}
    with _with_fonts(figure):  # `savefig` would draw it twice
        FigureCanvasAgg(figure).print_png(buffer, metadata=details)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def svg_file(figure: Figure) -> bytes:
    """The figure as an SVG file."""
    head = '<?xml version="1.0" encoding="utf-8" standalone="no"?>\n'
    return f"{head}{svg(figure)}\n".encode()


def svg(figure: Figure, name: str = "", *, transparent: bool = False) -> str:
    """The figure as one <svg> element, which may stand in a file or in an HTML page.

    Args:
        name: what the names inside begin with: several figures in a page must differ in it.
        transparent: without the white ground, for a page that has its own.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.BytesIO()
    nothing: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    if transparent:
        for ground in (figure.patch, *(axes.patch for axes in figure.axes)):
            ground.set(facecolor="none", edgecolor="none")
    with _with_fonts(figure):  # `savefig` would draw it twice
        FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)  # type: ignore[no-untyped-call]
    text = _HEAD.sub("", buffer.getvalue().decode())
    counted = {old: f"{name}{n}" for n, old in enumerate(dict.fromkeys(_NAME.findall(text)))}

    def renamed(found: re.Match[str]) -> str:
        own, other = found.groups()
        return f'id="{counted[own]}"' if own else f"#{counted.get(other, other)}"

    return "\n".join(line.rstrip() for line in _NAMED.sub(renamed, text).splitlines() if line)


@contextmanager
def _with_fonts(figure: Figure) -> Iterator[None]:
    """Letters are looked up in all of our fonts; matplotlib's settings are put back."""
    import matplotlib as mpl
    from matplotlib.text import Text

    usual = mpl.rcParams["font.family"]
    for text in figure.findobj(Text):
        if text.get_fontfamily() == usual:
            text.set_fontfamily(list(_fonts()))
    with mpl.rc_context({"font.family": list(_fonts())}), warnings.catch_warnings():
        # It depends on how busy the machine is, and there is nothing to do about it.
        warnings.filterwarnings("ignore", 'Creating legend with loc="best"', UserWarning)
        yield


def unwritable_error(path: Path, exc: OSError) -> RunError:
    """A file or folder of figures that cannot be written."""
    reason = exc.strerror or type(exc).__name__
    return RunError(f"cannot write a figure: {reason}", value=str(path), fix=unwritable_fix(exc))
