"""How far each stage's logged predictions are from what came of them: which rows of a day's logs, against what.

Nothing is trained and no truth is read: it is what a team's own log can say on the first day.
"""

import datetime as dt
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, EXPLORED, IMP, SCORED, prediction_column
from ukdsl_assets.frames.splits import md5_numbers
from ukdsl_assets.frames.stages import probed_by, reached
from ukdsl_assets.learning.evaluation.by_group import DECILE, MOST_VALUES, NONE, OTHER
from ukdsl_assets.learning.evaluation.diagnosis import DECILES, Compared, Gain, agreement, deciles, gain
from ukdsl_assets.pipeline.logged_rows import LoggedDay, logged_day
from ukdsl_assets.settings import Settings

LABEL, TEACHER = "label", "teacher"


@dataclass(frozen=True)
class Comparison:
    """A stage's predictions for a task on the rows of a domain, against a reference.

    `against` is the event of the task, or the next stage that predicts it; `given` are the tasks whose event must have
    come for a row to have a label. Where `not_judged` says why, the figures
    are NaN; `gain` is None too where the rows are too few to fit maps to.
    """

    stage: str
    task: str
    domain: str
    reference: str
    against: str
    given: tuple[str, ...] = ()
    rows: int = 0
    requests: float = 0.0
    positives: float = 0.0
    mean_prediction: float = math.nan
    mean_reference: float = math.nan
    calibration: float = math.nan
    low: float = math.nan
    high: float = math.nan
    without_prediction: int = 0
    gain: Gain | None = None
    not_judged: str = ""


@dataclass(frozen=True)
class Group:
    """A decile or a segment's value of a comparison.

    Low and high hold for all deciles of the comparison together, and for the segments' values of all comparisons.
    """

    stage: str
    task: str
    domain: str
    reference: str
    by: str
    group: str
    rows: int
    mean_prediction: float
    mean_reference: float
    calibration: float
    low: float
    high: float
    not_judged: str = ""

    @property
    def surely_off(self) -> float:
        """How far from right the nearer end of the interval is, on the log scale; 0 where it holds 1."""
        return max(math.log(self.low), -math.log(self.high), 0.0) if self.low > 0 else 0.0


@dataclass(frozen=True)
class Diagnosis:
    """What the logs of some days say of every stage; `read_from` is the place each day was read from."""

    cascade: str
    note: str
    days: tuple[dt.date, ...]
    read_from: tuple[str, ...]
    known_until: dt.datetime
    candidates: int
    requests: int
    scored: dict[str, int]
    comparisons: list[Comparison] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For machines: dates as text, what is not defined as null."""

        def plain(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: plain(each) for key, each in value.items()}
            if isinstance(value, list | tuple):
                return [plain(each) for each in value]
            if isinstance(value, dt.date):
                return value.isoformat()
            return None if isinstance(value, float) and math.isnan(value) else value

        return dict(plain(asdict(self)))


def diagnosed(
    settings: Settings, cascade: Cascade, days: Sequence[dt.date], log: Callable[[str], None] = lambda _: None
) -> Diagnosis:
    """Read the days' logs, each once, and compare.

    Raises:
        SourceError, ContractError, LakeError: as `logged_day`.
    """
    read = [logged_day(settings, cascade, day, log) for day in days]
    rows = pl.concat([_with_open_labels_null(cascade, day, each) for day, each in zip(days, read, strict=True)])
    requests = rows.select("request_id").unique(maintain_order=True)
    number = rows.select("request_id").join(requests.with_row_index("number"), on="request_id", maintain_order="left")
    log_rows = _Rows(
        rows,
        number["number"].cast(pl.Int64).to_numpy(),
        (md5_numbers(requests["request_id"], "diagnosis") % 2 == 0).to_numpy(),
        {name: _codes(rows[name]) for name in cascade.segments},
    )
    whole = {
        stage.name: sum(each.deepest.get(later.name, 0) for each in read for later in cascade.stages[depth:])
        for depth, stage in enumerate(cascade.stages)
    }
    done = Diagnosis(
        cascade.name,
        cascade.note,
        tuple(days),
        tuple(each.read_from for each in read),
        max(each.known_until for each in read),
        sum(each.candidates for each in read),
        requests.height,
        whole,
    )
    views = _views(cascade, rows)
    for view in views:
        comparison, groups = _judged(cascade, view, log_rows, sum(not each.cannot for each in views))
        done.comparisons.append(comparison)
        done.groups.extend(groups)
    return done


@dataclass(frozen=True)
class _Rows:
    """All rows, the number of each one's request, which requests are of the first half, and each segment's values."""

    frame: pl.DataFrame
    request: NDArray[np.int64]
    first_half: NDArray[np.bool_]
    segments: dict[str, tuple[NDArray[np.int64], list[str]]]


@dataclass(frozen=True)
class _View:
    """A comparison that is to be made: which rows, the column of the reference, and weights."""

    stage: str
    task: str
    domain: str
    reference: str
    against: str
    column: str
    among: pl.Expr
    weight: pl.Expr = field(default_factory=lambda: pl.lit(1.0))
    cannot: str = ""


def _views(cascade: Cascade, rows: pl.DataFrame) -> list[_View]:
    """Every stage and task: against the next stage on all it scored, what went on, what was shown; then by labels."""
    views = []
    for depth, stage in enumerate(cascade.stages):
        for task in cascade.predictions_of(stage.name):
            following = [each.name for each in cascade.stages[depth + 1 :] if task in cascade.predictions_of(each.name)]
            if following:
                views += _by_next_stage(cascade, rows, stage.name, task, following[0])
            views += _by_labels(cascade, rows, stage.name, task)
    return views


def _by_next_stage(cascade: Cascade, rows: pl.DataFrame, stage: str, task: str, teacher: str) -> list[_View]:
    column, went_on = prediction_column(teacher, task), reached(cascade, teacher)
    who = (stage, task)
    after = cascade.stages[cascade.depth(stage) + 1].name
    probe = probed_by(cascade, after)
    cannot = ""
    if not cascade.has_probes:
        cannot = (
            f"nothing that {stage} rejected was scored by {teacher}. Let it score two in a hundred of them, "
            "log `probed` and `probe_rate`, and declare has_probes: true (see Probes in the documentation)"
        )
    elif after != teacher:
        cannot = f"{teacher} is not the stage after {stage}, so no probe stands for what {stage} rejected"
    elif not rows.select(probe.any()).item():
        cannot = (
            f"no row that {stage} rejected is a probe; let {teacher} score a few of them "
            "(see Probes in the documentation)"
        )
    stands_for = pl.when(probe).then(1 / pl.col("probe_rate").cast(pl.Float64)) if cascade.has_probes else None
    weight = pl.lit(1.0) if stands_for is None else stands_for.otherwise(1.0)
    return [
        _View(*who, SCORED, TEACHER, teacher, column, went_on | probe, weight, cannot),
        _View(*who, CD, TEACHER, teacher, column, went_on),
        _View(*who, IMP, TEACHER, teacher, column, pl.col("shown")),
    ]


def _by_labels(cascade: Cascade, rows: pl.DataFrame, stage: str, task: str) -> list[_View]:
    declared, who = cascade.task(task), (stage, task)
    cannot = ""
    if declared.delayed and rows.select((pl.col("shown") & pl.col(task).is_not_null()).sum()).item() == 0:
        days = declared.attribution_window.total_seconds() / 86_400
        cannot = f"events count for {days:g} day(s), and that time was not over when the log was read; ask again then"
    unexplored = (
        ""
        if rows["explored"].any()
        else ("no row was shown by chance. Show a few candidates at random, and log `explored` and `propensity`")
    )
    by_chance = 1 / pl.col("propensity").cast(pl.Float64)
    return [
        _View(*who, IMP, LABEL, declared.event, task, pl.col("shown"), cannot=cannot),
        _View(*who, EXPLORED, LABEL, declared.event, task, pl.col("explored"), by_chance, unexplored or cannot),
    ]


def _judged(cascade: Cascade, view: _View, rows: _Rows, views: int) -> tuple[Comparison, list[Group]]:
    """The comparison, one of `views`, with its deciles and segments; of what cannot be judged the reason alone."""
    who = (view.stage, view.task, view.domain, view.reference)
    given = cascade.conditions_of(view.task) if view.reference == LABEL else ()
    if view.cannot:
        return Comparison(*who, view.against, given, not_judged=view.cannot), []
    prediction, reference = pl.col(prediction_column(view.stage, view.task)), pl.col(view.column)
    have = rows.frame.select(
        among=view.among & reference.is_not_null(), both=view.among & reference.is_not_null() & prediction.is_not_null()
    )
    chosen = have["both"].to_numpy()
    without = int(have["among"].sum()) - int(chosen.sum())
    taken = rows.frame.select(p=prediction, y=reference, w=view.weight).filter(have["both"])
    compared = Compared(
        taken["p"].to_numpy(),
        taken["y"].cast(pl.Float64).to_numpy(),
        taken["w"].to_numpy() if len(taken) else np.zeros(0),
        rows.request[chosen],
        rows.first_half,
        soft=view.reference == TEACHER,
    )
    agreed = agreement(compared)
    figures: dict[str, Any] = {
        "rows": len(taken),
        "requests": float(agreed.requests[0]),
        "positives": float(agreed.positives[0]) if view.reference == LABEL else math.nan,
        "without_prediction": without,
    }
    if why := agreed.too_few(0, compared.soft, compared.weighted):
        return Comparison(*who, view.against, given, **figures, not_judged=why), []
    means = ("mean_prediction", "mean_reference", "calibration")
    figures |= {name: float(getattr(agreed, name)[0]) for name in means}
    low, high = agreed.interval(0)
    groups = _groups(who, compared, {DECILE: (deciles(compared), [f"{each:02}" for each in range(1, DECILES + 1)])})
    segments = {name: (codes[chosen], names) for name, (codes, names) in rows.segments.items()}
    # The worst are looked for in all comparisons.
    groups += _groups(who, compared, segments, views)
    return Comparison(*who, view.against, given, **figures, low=low, high=high, gain=gain(compared)), groups


def _groups(
    who: tuple[str, str, str, str],
    compared: Compared,
    by: dict[str, tuple[NDArray[np.int64], list[str]]],
    views: int = 1,
) -> list[Group]:
    """Groups that have rows. Intervals hold for all that are judged together, in about as many in each of `views`."""
    parts = {name: agreement(compared, position, len(names)) for name, (position, names) in by.items()}
    why = {
        (name, group): part.too_few(group, compared.soft, compared.weighted)
        for name, part in parts.items()
        for group in range(len(by[name][1]))
    }
    judged = max(sum(not reason for reason in why.values()), 1) * views
    found = []
    for name, part in parts.items():
        for group, value in enumerate(by[name][1]):
            if not part.rows[group]:
                continue
            means = (float(part.mean_prediction[group]), float(part.mean_reference[group]))
            reason = why[name, group]
            ratio = (float(part.calibration[group]), *part.interval(group, judged)) if not reason else (math.nan,) * 3
            found.append(Group(*who, name, value, int(part.rows[group]), *means, *ratio, reason))
    return found


def _codes(segment: pl.Series) -> tuple[NDArray[np.int64], list[str]]:
    """The group of each row, and the groups' names: the values with the most rows, the others, and none."""
    values = segment.cast(pl.String).fill_null(NONE)
    counted = values.alias("value").value_counts().sort("count", "value", descending=[True, False])
    common = counted["value"].head(MOST_VALUES).to_list()
    names = [*common, OTHER] if OTHER not in common else common
    places = {name: place for place, name in enumerate(names)}
    return values.replace_strict(places, default=places[OTHER], return_dtype=pl.Int64).to_numpy(), names


def _with_open_labels_null(cascade: Cascade, day: dt.date, read: LoggedDay) -> pl.DataFrame:
    """The rows, without labels of delayed tasks whose window was still open when the day's events were read."""
    end = dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC) + dt.timedelta(days=1)
    still_open = [task.name for task in cascade.delayed_tasks if end + task.attribution_window > read.known_until]
    return read.rows.with_columns(pl.lit(None, pl.Float32).alias(name) for name in still_open)
