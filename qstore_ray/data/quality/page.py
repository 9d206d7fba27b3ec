"""A profile as one HTML page that needs nothing else: no script, no network, no other file.

All text from the data is escaped by the functions of `html.py` or in the plots; the sections put
only those and text of their own together.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from qstore_ray.data.quality import plots
from qstore_ray.data.quality.finding import SEVERITIES, Finding
from qstore_ray.data.quality.html import document, listing, section, table
from qstore_ray.data.quality.statistics import QUANTILES

if TYPE_CHECKING:
    from qstore_ray.data.quality.profile import Histogram, Profile

_MOST_DRIFTING: Final = 10
_MOST_LINES: Final = 4


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
    return document(f"{profile.name} · data profile", body)


def _head(profile: Profile) -> str:
    rows = ", ".join(f"{split.split} {split.n_rows:,}" for split in profile.splits)
    facts = {
        "task": profile.task,
        "rows": rows,
        "columns": f"{len(profile.columns):,}{', prepared' * profile.prepared}",
        **profile.provenance,
    }
    listed = listing(facts, {"fingerprint": profile.fingerprint})
    return f"<header><h1>{escape(profile.name)}</h1>{listed}</header>"


def _findings(profile: Profile) -> str:
    counted = [
        f"{severity} {n}"
        for severity in SEVERITIES
        if (n := sum(finding.severity == severity for finding in profile.findings))
    ]
    if not counted:
        good = '<div class="finding good">Every check passed; nothing was found.</div>'
        return section("Findings", good)
    return section(f"Findings: {', '.join(counted)}", "".join(map(_finding, profile.findings)))


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
    return section("Rows by class and split", f"<p>{plots.legend(splits)}</p>{shown}")


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
    return section("Columns of train", table(head, rows))


def _histograms(profile: Profile) -> str:
    figures = "".join(_histogram(shown, profile.class_names) for shown in profile.histograms)
    by = "class" if profile.class_names else "value"
    few = len(profile.class_names) <= _MOST_LINES
    key = f"<p>{plots.legend(profile.class_names)}</p>" if few else ""
    note = (
        f'<p class="muted">The {len(profile.histograms)} columns of train whose variance the label '
        "explains best; each class as a share of its own rows.</p>"
    )
    return section(f"Histograms by {by}", f'{note}{key}<div class="grid">{figures}</div>')


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
    listed = table(["column", "column", "Pearson", "Spearman"], rows) if rows else ""
    few = len(found.columns) < len(profile.columns)
    which = f"the {len(found.columns)} columns the label explains best" if few else "all columns"
    caption = f"Pearson coefficients of {which}: blue positive, vermilion negative, grey undefined."
    drawn = plots.heat_map(found.columns, found.pearson)
    return section(
        "Correlations",
        f'<p>{note}</p>{listed}<p class="muted">{caption}</p><div class="scroll">{drawn}</div>',
    )


def _outliers(profile: Profile) -> str:
    head = ["rule fitted on train", "threshold", "split", "rows", "outlying rows", "columns judged"]
    rows = [
        [o.method, o.threshold, o.split, o.n_rows, o.outliers, o.judged_columns]
        for o in profile.outliers
    ]
    return section("Outliers", table(head, rows))


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
    return section("Drift between splits", note + table(head, rows))


def _spectrum(profile: Profile) -> str:
    if not profile.spectrum.shares:
        return section("Principal components", '<p class="muted">There is no variance.</p>')
    needed = ", ".join(
        f"{n} for {share} %" for n, share in zip(profile.spectrum.needed, (90, 95, 99), strict=True)
    )
    return section(
        "Principal components",
        f"<p>Components of the centred columns of train needed for a share of the variance: "
        f"{needed}.</p>{plots.bars(profile.spectrum.shares)}",
    )
