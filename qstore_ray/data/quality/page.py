"""A profile as one HTML page that needs nothing else: no script, no network, no other file.

Whatever comes from the data is escaped in `_cell` or in the plots; the sections put only those
and text of their own together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

from qstore_ray.data.quality import plots
from qstore_ray.data.quality.finding import SEVERITIES, Finding
from qstore_ray.data.quality.statistics import QUANTILES

if TYPE_CHECKING:
    from qstore_ray.data.quality.profile import Histogram, Profile

_MOST_DRIFTING: Final = 10
_MOST_LINES: Final = 4

_STYLE: Final = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; color: #222;
  background: #f4f5f7; margin: 0; }
main { max-width: 1060px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 28px; margin: 0 0 2px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 0 0 12px; }
section { background: #fff; border: 1px solid #e1e4e8; border-radius: 8px; padding: 18px 22px;
  margin-top: 18px; }
.scroll { overflow: auto; max-height: 560px; }
.muted { color: #667; font-size: 13px; }
code { font: 13px ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th { text-align: left; color: #556; font-weight: 600; position: sticky; top: 0; background: #fff; }
th, td { padding: 4px 14px 4px 0; border-bottom: 1px solid #eceef1; vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; }
td { overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 12px 0 0; }
dt { color: #667; } dd { margin: 0; overflow-wrap: anywhere; }
.finding { border-left: 5px solid; border-radius: 4px; padding: 8px 14px; margin: 8px 0; }
.error { border-color: #b3261e; background: #fdecea; }
.warning { border-color: #D55E00; background: #fff4e8; }
.info { border-color: #0072B2; background: #eaf4fb; }
.good { border-color: #009E73; background: #e8f6f1; }
.tag { font-size: 11.5px; font-weight: 700; letter-spacing: .05em; text-transform: uppercase;
  margin-right: 8px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(310px, 1fr)); gap: 20px; }
figure { margin: 0; } figcaption { font-size: 13px; font-weight: 600; overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; font-family: inherit; }
.key { margin-right: 16px; font-size: 13px; } .key i { display: inline-block; width: 11px;
  height: 11px; border-radius: 2px; margin-right: 6px; }
"""


def render(profile: Profile) -> str:
    """`profile` as the text of an HTML page."""
    body = "".join(
        [
            _head(profile),
            _findings(profile),
            _classes(profile),
            _columns(profile),
            _histograms(profile),
            _correlations(profile),
            _outliers(profile),
            _drift(profile),
            _spectrum(profile),
        ]
    )
    title = f"{escape(profile.name)} · data profile"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _head(profile: Profile) -> str:
    rows = ", ".join(f"{split.split} {split.n_rows:,}" for split in profile.splits)
    facts = {
        "task": profile.task,
        "rows": rows,
        "columns": f"{len(profile.columns):,}{', prepared' * profile.prepared}",
        **profile.provenance,
    }
    listed = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    print_ = f"<dt>fingerprint</dt><dd><code>{escape(profile.fingerprint)}</code></dd>"
    return f"<header><h1>{escape(profile.name)}</h1><dl>{listed}{print_}</dl></header>"


def _findings(profile: Profile) -> str:
    counted = [
        f"{severity} {n}"
        for severity in SEVERITIES
        if (n := sum(finding.severity == severity for finding in profile.findings))
    ]
    if not counted:
        good = '<div class="finding good">Every check passed; nothing was found.</div>'
        return _section("Findings", good)
    return _section(f"Findings: {', '.join(counted)}", "".join(map(_finding, profile.findings)))


def _finding(finding: Finding) -> str:
    rows = f" Rows {', '.join(map(str, finding.rows))}." if finding.rows else ""
    where = f"<strong>{escape(finding.field)}</strong>: " if finding.field else ""
    return (
        f'<div class="finding {finding.severity}"><span class="tag">{finding.severity}</span>'
        f"{where}{escape(finding.message)}.{rows} "
        f'<span class="muted">{escape(finding.fix)} [{escape(finding.check)}]</span></div>'
    )


def _classes(profile: Profile) -> str:
    if not profile.class_names:
        return ""
    splits = [split.split for split in profile.splits]
    shown = plots.grouped_bars(profile.class_names, [split.counts for split in profile.splits])
    return _section("Rows by class and split", f"<p>{plots.legend(splits)}</p>{shown}")


def _columns(profile: Profile) -> str:
    head = ["column", "rows", "missing", "distinct", "mean", "std", "skewness", "min"]
    head += [f"{q:.0%}" for q in QUANTILES] + ["max"]
    rows = [
        [
            *(c.name, c.count, c.missing, c.distinct),
            *(c.mean, c.std, c.skewness),
            *(c.minimum, *c.quantiles, c.maximum),
        ]
        for c in profile.columns
    ]
    return _section("Columns of train", _table(head, rows))


def _histograms(profile: Profile) -> str:
    figures = "".join(_histogram(shown, profile.class_names) for shown in profile.histograms)
    by = "class" if profile.class_names else "value"
    few = len(profile.class_names) <= _MOST_LINES
    key = f"<p>{plots.legend(profile.class_names)}</p>" if few else ""
    note = (
        f'<p class="muted">The {len(profile.histograms)} columns of train whose variance the label '
        "explains best; each class as a share of its own rows.</p>"
    )
    return _section(f"Histograms by {by}", f'{note}{key}<div class="grid">{figures}</div>')


def _histogram(shown: Histogram, class_names: Sequence[str]) -> str:
    caption = f"{escape(shown.name)} <span class='muted'>{shown.explained:.0%} explained</span>"
    if not shown.edges:
        drawn = '<p class="muted">no finite value</p>'
    elif len(class_names) <= _MOST_LINES:
        drawn = plots.lines(shown.edges, shown.counts)
    else:
        drawn = plots.strips(shown.edges, shown.counts, class_names)
    return f"<figure><figcaption>{caption}</figcaption>{drawn}</figure>"


def _correlations(profile: Profile) -> str:
    found = profile.correlations
    note = f"Pairs of columns with |r| above 0.9, over {found.n_rows:,} rows: {found.n_strong}."
    rows = [[p.first, p.second, p.pearson, p.spearman] for p in found.pairs]
    listed = _table(["column", "column", "Pearson", "Spearman"], rows) if rows else ""
    few = len(found.columns) < len(profile.columns)
    which = f"the {len(found.columns)} columns the label explains best" if few else "all columns"
    caption = f"Pearson coefficients of {which}: blue positive, vermilion negative, grey undefined."
    drawn = plots.heat_map(found.columns, found.pearson)
    return _section(
        "Correlations",
        f'<p>{note}</p>{listed}<p class="muted">{caption}</p><div class="scroll">{drawn}</div>',
    )


def _outliers(profile: Profile) -> str:
    head = ["rule fitted on train", "threshold", "split", "rows", "outlying rows", "columns judged"]
    rows = [
        [o.method, o.threshold, o.split, o.n_rows, o.outliers, o.judged_columns]
        for o in profile.outliers
    ]
    return _section("Outliers", _table(head, rows))


def _drift(profile: Profile) -> str:
    head = ["split", "column", "Kolmogorov–Smirnov", "p", "PSI", "differs"]
    rows = [
        [
            split.split,
            profile.columns[d.column].name,
            d.ks,
            d.p_value,
            d.psi,
            "yes" if d.differs else "",
        ]
        for split in profile.drift
        for d in sorted(split.columns, key=lambda d: -d.ks)[:_MOST_DRIFTING]
    ]
    note = (
        f'<p class="muted">Against train; the {_MOST_DRIFTING} largest of every split. A column '
        "differs where that is significant over all columns together (Benjamini–Hochberg).</p>"
    )
    return _section("Drift between splits", note + _table(head, rows))


def _spectrum(profile: Profile) -> str:
    if not profile.spectrum.shares:
        return _section("Principal components", '<p class="muted">There is no variance.</p>')
    needed = ", ".join(
        f"{n} for {share} %" for n, share in zip(profile.spectrum.needed, (90, 95, 99), strict=True)
    )
    return _section(
        "Principal components",
        f"<p>Components of the centred columns of train needed for a share of the variance: "
        f"{needed}.</p>{plots.bars(profile.spectrum.shares)}",
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    listed = [[_cell(value) for value in row] for row in rows]
    if not listed:
        return '<p class="muted">none</p>'
    numeric = ['class="n"' in cell for cell in listed[0]]
    top = "".join(
        f"<th{' class=n' * right}>{escape(name)}</th>"
        for name, right in zip(head, numeric, strict=True)
    )
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in listed)
    return f'<div class="scroll"><table><tr>{top}</tr>{body}</table></div>'


def _cell(value: str | float | None) -> str:
    if value is None:
        return '<td class="n">–</td>'
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    shown = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    return f'<td class="n">{shown}</td>'
