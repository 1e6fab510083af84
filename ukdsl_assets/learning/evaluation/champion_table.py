"""The table champion_comparison: today's and yesterday's student against what serves, and its sums over days."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date

import polars as pl

from ukdsl_assets.declaration.columns import CD, IMP, SCORED
from ukdsl_assets.learning.evaluation.champion import Paired
from ukdsl_assets.learning.metrics.interval import interval

SAME_DAY, NEXT_DAY = "same_day", "next_day"
RELEASED = "released"

_NAMES = {
    "when": pl.String,
    "domain": pl.String,
    "reference": pl.String,
    "teacher": pl.String,
    "challenger": pl.String,
    "challenger_day": pl.Date,
    "champion": pl.String,
    "champion_day": pl.Date,
    "champion_arm": pl.String,
}
_COUNTS = dict.fromkeys(("requests", "rows", "positives"), pl.Int64)
_SUMS = dict.fromkeys(
    ("champion_entropy", "difference", "champion_squared", "difference_squared", "product"), pl.Float64
)
_FIGURES = dict.fromkeys(("ne_change", "ne_change_error", "low", "high"), pl.Float64)
COLUMNS = {**_NAMES, **_COUNTS, **_SUMS, **_FIGURES}

MEANINGS = {
    "when": "same_day: the day's student on withheld requests of the day; next_day: the student of the day before on "
    "all requests of the day, which it has not seen",
    "domain": "IMP: shown rows; CD: rows that the next stage scored; SCORED: these and the rejected rows that the "
    "teacher labels, where there are such",
    "reference": "what both are compared with: label on IMP, teacher elsewhere",
    "teacher": "the student's teacher",
    "challenger": "version of the checkpoint that would be released",
    "challenger_day": "its day",
    "champion": "version of the checkpoint that it is compared with",
    "champion_day": "its day",
    "champion_arm": "released, or baseline where nothing was released before",
    "requests": "requests compared",
    "rows": "rows compared",
    "positives": "positive labels seen among them; of a teacher, rows that it predicts above 0",
    "champion_entropy": "b summed over requests, where b is the champion's weighted cross entropy of a request",
    "difference": "d summed: what the challenger's entropy has more than b",
    "champion_squared": "b^2 summed",
    "difference_squared": "d^2 summed",
    "product": "b d summed",
    "ne_change": "the challenger's normalized entropy over the champion's, minus 1; below 0 is better",
    "ne_change_error": "its standard error over requests",
    "low": "lower end of its 95% interval",
    "high": "upper end",
}


@dataclass(frozen=True)
class Pairing:
    """Who is compared: versions and days of two checkpoints; champion_arm is `RELEASED` or baseline."""

    when: str
    teacher: str
    challenger: str
    challenger_day: date
    champion: str
    champion_day: date
    champion_arm: str


def comparison_rows(pairing: Pairing, sums: Mapping[str, Paired]) -> pl.DataFrame:
    """Rows of the table, one a domain of `sums` that has rows; columns and dtypes of `COLUMNS`."""
    rows = []
    for domain, both in sums.items():
        if not both.rows:
            continue
        figures = asdict(both)
        low, high = interval(both.change, both.error)
        rows.append(
            asdict(pairing)
            | {"domain": domain, "reference": "label" if domain == IMP else "teacher"}
            | {**figures, "champion_entropy": both.champion, "champion": pairing.champion}
            | {"ne_change": both.change, "ne_change_error": both.error, "low": low, "high": high}
        )
    return pl.DataFrame([{name: row[name] for name in COLUMNS} for row in rows], schema=COLUMNS)


@dataclass(frozen=True)
class PooledRow:
    """One domain of the decided day with the days before it that are comparable.

    Attributes:
        newest: the decided day's row by name.
        today: the sums of that row alone; sums: of all days.
        days: how many days these are of.
    """

    newest: Mapping[str, object]
    today: Paired
    sums: Paired
    days: int


def pooled(table: pl.DataFrame, when: str, day: date) -> dict[str, PooledRow]:
    """Domain -> the day's row and the sums over days; IMP, and SCORED or else CD. Empty where the day has no such rows.

    Days before alone say nothing of the checkpoint that is decided. Comparable are those with the day's teacher and
    kind of champion: what is far better than a baseline says nothing of how it stands to what was released since. Each
    day was judged by models of its own time.

    Args:
        table: rows of some days, columns of `COLUMNS` and day.
        when: which comparison, `SAME_DAY` or `NEXT_DAY`.
        day: whose requests decide; later days are left out.
    """
    rows = table.filter(pl.col("day") <= day, when=when).sort("day")
    newest = rows.filter(day=day)
    domains = set(newest["domain"])
    kept = [domain for domain in (IMP, SCORED if SCORED in domains else CD) if domain in domains]
    found = {}
    for domain in kept:
        last = newest.filter(domain=domain).row(0, named=True)
        like = rows.filter(domain=domain, teacher=last["teacher"], champion_arm=last["champion_arm"])
        sums = [_sums(row) for row in like.iter_rows(named=True)]
        found[domain] = PooledRow(last, _sums(last), sum(sums, Paired()), len(sums))
    return found


def _sums(row: Mapping[str, object]) -> Paired:
    names = ("requests", "rows", "positives", *_SUMS)
    return Paired(*(row[name] for name in names))  # type: ignore[arg-type]
