"""A day of champion against challenger: who is compared, on which rows, and the table of it."""

from collections import defaultdict
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from datetime import date
from functools import partial

import numpy as np
import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP, REJECTED, SCORED
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.lake.checkpoints.store import Checkpoint
from ukdsl_assets.learning.evaluation.champion import Paired, paired, paired_entropies, weighted_entropies
from ukdsl_assets.learning.evaluation.champion_table import (
    COLUMNS,
    NEXT_DAY,
    RELEASED,
    SAME_DAY,
    Pairing,
    comparison_rows,
)
from ukdsl_assets.learning.metrics.bootstrap import request_numbers
from ukdsl_assets.learning.training.delayed_feedback import corrected_target
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.delays import KnownDelays, corrected, known_delays
from ukdsl_assets.pipeline.evaluation import can_predict, predictors_of, released_before
from ukdsl_assets.pipeline.students import as_student

# The domains that are compared; SCORED is of rows of CD and REJECTED.
_DOMAINS = (IMP, CD, SCORED)
# What is read beside the features, of what is there.
_COMPARED = {"day", "request_id", "requested_at", "known_until", "domain", "target", "weight", "withheld"}


@dataclass(frozen=True)
class Match:
    """A challenger and a champion, and which of the day's rows neither has seen: a Boolean expression."""

    when: str
    challenger: Checkpoint
    champion: Checkpoint
    unseen: pl.Expr

    @property
    def champion_arm(self) -> str:
        """`RELEASED`, or baseline where nothing was."""
        return "baseline" if self.champion.key[-1] == "baseline" else RELEASED


def matches_of(day: Day, student: Student) -> list[Match]:
    """The day's student on withheld requests of the day, and that of the day before on all of them.

    The second is left out where there is no day before, or where that student cannot read the day's rows. The champion
    is what was released before the challenger's day, if it can predict, else the baseline of the challenger's day. Of a
    student that is decided by the next day, the same holds for both: what yesterday's would replace.
    """
    store, key = day.checkpoints, day.table(student.name)
    columns = day.lake.scan((*key, "teacher_augmented"), [day.date]).collect_schema().names()

    def readable(checkpoint: Checkpoint | None) -> bool:
        return checkpoint is not None and can_predict(checkpoint, day.cascade, student, columns)

    def champion(of: date, before: date) -> Checkpoint:
        released = store.load_released(key, before)
        return released if released is not None and readable(released) else store.load((*key, "baseline"), of)

    today, withheld = store.load((*key, "distilled"), day.date), pl.col("withheld")
    matches = [Match(SAME_DAY, today, champion(day.date, released_before(day, student)), withheld)]
    newest = store.newest_before((*key, "distilled"), day.date)
    if newest is not None and readable(yesterday := store.load((*key, "distilled"), newest)):
        # Labels that a student waits for are of requests that it has been trained on as considered ones.
        unseen = withheld | (pl.col("requested_at").dt.date() > newest)
        if readable(against := champion(newest, newest)):
            matches.append(Match(NEXT_DAY, yesterday, against, unseen))
    return matches


def compared(day: Day, student: Student, matches: list[Match]) -> pl.DataFrame:
    """The rows of champion_comparison, columns of `COLUMNS`; one shard of the day is in memory at a time.

    On IMP the heads impression are compared, by the label corrected for its delay; elsewhere what each serves, by the
    teacher. SCORED has rows only where the day has rejected rows with a teacher's label.
    """
    table = day.table(student.name, "teacher_augmented")
    every = (each for match in matches for each in (match.champion, match.challenger))
    features = {feature.name for each in every for feature in as_student(each).encoder.features}
    work = partial(_shard_sums, day.cascade, student, known_delays(day, student), tuple(matches), features)
    name = f"{'/'.join(day.table(student.name, 'champion_comparison'))}, day {day.date}"
    sums: dict[tuple[str, str], Paired] = defaultdict(Paired)
    rejected = False
    for has_rejected, of_shard in day.workspace.engine.map(work, day.lake.shard_readers(table, [day.date]), name):
        rejected |= has_rejected
        for key, both in of_shard.items():
            sums[key] += both
    tables = [
        comparison_rows(
            Pairing(
                match.when,
                student.teacher,
                match.challenger.version,
                match.challenger.day,
                match.champion.version,
                match.champion.day,
                match.champion_arm,
            ),
            {domain: sums[match.when, domain] for domain in _DOMAINS if domain != SCORED or rejected},
        )
        for match in matches
    ]
    return pl.concat([pl.DataFrame(schema=COLUMNS), *tables])


def trailing(day: Day, student: Student) -> pl.DataFrame:
    """champion_comparison of the `evaluation_days` published days that end with the day, with their column day.

    Raises:
        LakeError: when the day is not published.
    """
    table = day.table(student.name, "champion_comparison")
    return day.lake.scan(table, day.window(table, day.cascade.evaluation_days)).collect()


def _shard_sums(
    cascade: Cascade,
    student: Student,
    delays: KnownDelays | None,
    matches: Sequence[Match],
    features: Set[str],
    read: Callable[[], pl.LazyFrame],
) -> tuple[bool, dict[tuple[str, str], Paired]]:
    """Whether a shard has rejected rows, and its sums by match and domain; a request's rows are in one shard."""
    scan = read()
    columns = [name for name in scan.collect_schema().names() if name in _COMPARED or name in features]
    rows = corrected(cascade, student, delays, scan.select(columns).collect())
    rows = rows.with_columns(target=corrected_target(rows))
    predictors = predictors_of({each.version: each for match in matches for each in (match.champion, match.challenger)})
    sums: dict[tuple[str, str], Paired] = {}
    for match in matches:
        chosen = rows.filter(match.unseen)
        if not len(chosen):
            continue
        before, after = (predictors[each.version](chosen) for each in (match.champion, match.challenger))
        request = request_numbers(chosen)
        target, weight = (chosen[name].to_numpy().astype(np.float64) for name in ("target", "weight"))
        shown, considered = ((chosen["domain"] == domain).to_numpy() for domain in (IMP, CD))
        p, q = (each["impression"][shown] for each in (before, after))
        sums[match.when, IMP] = paired(request[shown], target[shown], weight[shown], p, q)
        # What serves predicts all other rows. Most of them are considered ones, whose entropies are of both domains.
        scored = considered | (chosen["domain"] == REJECTED).to_numpy()
        p, q = ([*each.values()][-1][scored] for each in (before, after))
        requests, references = request[scored], target[scored]
        b, d = weighted_entropies(references, weight[scored], p, q)
        sums[match.when, SCORED] = paired_entropies(requests, references, b, d)
        inside = considered[scored]
        sums[match.when, CD] = paired_entropies(requests[inside], references[inside], b[inside], d[inside])
    return REJECTED in rows["domain"], sums
