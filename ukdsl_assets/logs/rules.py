"""What every row of the logs must satisfy, as polars expressions; the gates count them, the schemas carry them."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Literal

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import IMPRESSION, KEYS, prediction_column, truth_column
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.frames.missing import is_missing, or_null
from ukdsl_assets.frames.stages import probed_by, reached

_ALLOW_MISSING = "fill it in where the log is written, or declare the feature with `missing: allowed`"


@dataclass(frozen=True)
class Rule:
    """One rule about one column (or several, named together).

    Attributes:
        gate: gate that fails when a row breaks the rule.
        column: the column that is wrong where the rule is broken.
        expected: the rule in words.
        fix: what to do about it.
        bad: Boolean expression, true on rows that break the rule; null counts as kept.
        among: Boolean expression, the rows between which `bad` compares; None: all.
    """

    gate: Literal["contract", "keys_unique", "probabilities_valid", "events_have_candidates"]
    column: str
    expected: str
    fix: str
    bad: pl.Expr
    among: pl.Expr | None = None


def nullable_columns(cascade: Cascade) -> frozenset[str]:
    """Columns of the two logs that may hold nulls somewhere."""
    late_predictions = [
        prediction_column(stage.name, task)
        for stage in cascade.stages[1:]
        for task in cascade.predictions_of(stage.name)
    ]
    late_features = [feature.name for feature in cascade.features if _known_late(cascade, feature)]
    of_shown = [feature.name for feature in cascade.features_of_shown]
    missing = [feature.name for feature in cascade.features if feature.may_be_missing]
    return frozenset(["propensity", "probe_rate", "value", *late_predictions, *late_features, *of_shown, *missing])


def no_nulls(cascade: Cascade, columns: Iterable[str]) -> list[Rule]:
    """One rule for each of the columns that must never be null."""
    features = {feature.name for feature in cascade.features}
    nullable = nullable_columns(cascade)
    # Rows without the value are considered all the same: to leave them out would bias what is considered.
    fixes = {True: _ALLOW_MISSING, False: "fill it in where the log is written"}
    return [
        Rule("contract", column, "not null", fixes[column in features], pl.col(column).is_null())
        for column in columns
        if column not in nullable
    ]


def candidate_log_rules(cascade: Cascade) -> list[Rule]:
    """Row-wise rules of the candidate log beyond types, plain nulls, keys and constancy within a request."""
    stages = [stage.name for stage in cascade.stages]
    explored, propensity = pl.col("explored"), pl.col("propensity")
    rules = [
        Rule(
            "contract",
            "deepest_stage",
            f"one of {', '.join(stages)}",
            "rename the stage in the log, or declare it under `stages`",
            ~pl.col("deepest_stage").is_in(stages),
        ),
        Rule(
            "contract",
            "explored",
            "explored only where shown",
            "set explored to false on candidates that were not shown",
            explored & ~pl.col("shown"),
        ),
        Rule(
            "contract",
            "propensity",
            "not null where explored, and in (0, 1]",
            "log the probability with which the randomised policy chose the candidate",
            # NaN is greater than every number in polars, so that the upper bound refuses it.
            (explored & propensity.is_null()) | ~((propensity > 0) & (propensity <= 1)),
        ),
    ]
    if cascade.has_probes:
        rules += _probe_rules(cascade)
    if cascade.has_bid:
        bid = pl.col("bid")
        rules.append(
            Rule("contract", "bid", "finite, 0 or more", "log bids in money, never a code", ~((bid >= 0) & (bid < inf)))
        )
    for stage in cascade.stages:
        for task in cascade.predictions_of(stage.name):
            rules += _prediction_rules(cascade, stage.name, prediction_column(stage.name, task))
    for feature in cascade.features:
        rules += _feature_rules(cascade, feature)
    if cascade.has_truth:
        rules += [_is_probability(truth_column(task.name)) for task in cascade.tasks]
    return rules


def event_log_rules(cascade: Cascade) -> list[Rule]:
    """Row-wise rules of the event log that need no other table."""
    known = sorted({IMPRESSION, *(task.event for task in cascade.tasks)})
    return [
        Rule(
            "contract",
            "event",
            f"one of {', '.join(known)}",
            "leave other events out, or declare a task for them",
            ~pl.col("event").is_in(known),
        ),
        Rule("contract", "value", "null or finite", "write null for an unknown value", ~pl.col("value").is_finite()),
    ]


def constant_columns(cascade: Cascade) -> list[str]:
    """Columns with one value (beside null) within a request."""
    return ["requested_at", *(feature.name for feature in cascade.features if feature.side == "request")]


def varies_in_sorted(cascade: Cascade, column: str) -> Rule:
    """The rule that a column is constant within its request, for a log sorted by request_id."""
    request, value = pl.col("request_id"), pl.col(column)
    differs, among = value != value.shift(1), value.is_not_null() if column in nullable_columns(cascade) else None
    for feature in cascade.features:
        if feature.name == column and feature.may_be_missing:
            # Missing is a value too, in the rows that could have another.
            value, among = or_null(feature), could_have(cascade, feature)
            differs = value.ne_missing(value.shift(1))
    return Rule(
        "contract",
        column,
        "one value per request",
        "log it once per request, or declare the feature with `side: candidate`",
        (request == request.shift(1)) & differs,
        among=among,
    )


def constant_within_request(cascade: Cascade, column: str) -> pl.Expr:
    """The same for a log in any order: true in the rows of requests in which the column is constant."""
    values = pl.col(column).drop_nulls().n_unique().over("request_id")
    for feature in cascade.features:
        if feature.name == column and feature.may_be_missing:
            among = could_have(cascade, feature)
            missing = is_missing(feature) if among is None else is_missing(feature) & among
            values = or_null(feature).drop_nulls().n_unique().over("request_id") + missing.any().over("request_id")
    return values <= 1


def could_have(cascade: Cascade, feature: Feature) -> pl.Expr | None:
    """Rows of candidates that got to where the feature is known; None: all."""
    return reached(cascade, feature.known_from) if feature.known_from and _known_late(cascade, feature) else None


def repeats_in_sorted() -> Rule:
    """The rule that keys are unique, for a log sorted by them."""
    same = [pl.col(key) == pl.col(key).shift(1) for key in KEYS]
    return Rule(
        "keys_unique",
        ", ".join(KEYS),
        "one row per (request_id, candidate_id)",
        "keep one row per candidate and request, the one of the deepest stage",
        same[0] & same[1],
    )


def _known_late(cascade: Cascade, feature: Feature) -> bool:
    return feature.known_from is not None and cascade.depth(feature.known_from) > 0


def _is_probability(column: str) -> Rule:
    fix = "log probabilities (after the sigmoid), and null where there is no score"
    return Rule("probabilities_valid", column, "finite, in [0, 1]", fix, ~pl.col(column).is_between(0, 1))


# Of rarer ones sums of 1 / rate leave the range of decimals, and one would outweigh a day.
LEAST_PROBE_RATE = 1e-6


def _probe_rules(cascade: Cascade) -> list[Rule]:
    last, probed, rate = cascade.stages[-1].name, pl.col("probed"), pl.col("probe_rate")
    return [
        Rule(
            "contract",
            "probed",
            f"a probe was neither shown nor handed on to the last stage, {last}",
            "set probed only on candidates that their deepest_stage rejected and the next stage scored all the same",
            probed & (pl.col("shown") | (pl.col("deepest_stage") == last)),
        ),
        Rule(
            "contract",
            "probe_rate",
            f"null exactly where not probed, else in [{LEAST_PROBE_RATE:g}, 1]",
            "log the share of its stage's rejected candidates that the probe was drawn with",
            (rate.is_null() == probed) | ~((rate >= pl.lit(LEAST_PROBE_RATE, pl.Float32)) & (rate <= 1)),
        ),
    ]


def _prediction_rules(cascade: Cascade, stage: str, column: str) -> list[Rule]:
    rules = [_is_probability(column)]
    if cascade.depth(stage) > 0:
        expected = f"null exactly on candidates that did not reach stage {stage}"
        fix = f"log the prediction of everything that {stage} scored, and set deepest_stage to the last stage that did"
        if cascade.has_probes:
            expected += " and are no probes of it"
            fix += "; a probe's deepest_stage is the stage that rejected it"
        bad = pl.col(column).is_null() == (reached(cascade, stage) | probed_by(cascade, stage))
        rules.append(Rule("contract", column, expected, fix, bad))
    return rules


def _feature_rules(cascade: Cascade, feature: Feature) -> list[Rule]:
    column, rules = pl.col(feature.name), []
    if feature.known_from is not None and _known_late(cascade, feature) and not feature.may_be_missing:
        expected = f"not null on candidates that reached stage {feature.known_from}"
        fix = f"{_ALLOW_MISSING} or a later `known_from`"
        bad = column.is_null() & reached(cascade, feature.known_from)
        rules.append(Rule("contract", feature.name, expected, fix, bad))
    if feature.served_as is not None:
        expected = "null exactly on candidates that were not shown"
        fix = "log it for what was shown alone, or declare the feature without `served_as`"
        rules.append(Rule("contract", feature.name, expected, fix, column.is_null() == pl.col("shown")))
    if feature.kind == "multi_valued":
        expected, fix = "no null inside a list", "leave missing ids out; a list may be empty"
        bad = column.list.eval(pl.element().is_null()).list.any()
        rules.append(Rule("contract", feature.name, expected, fix, bad))
        expected = f"at most {feature.most_values} ids in a list"
        fix = "write the most telling ids alone, or declare a larger `most_values`"
        rules.append(Rule("contract", feature.name, expected, fix, column.list.len() > feature.most_values))
    elif feature.kind != "categorical":
        finite = column.is_finite()
        if feature.kind == "vector":
            finite = column.arr.eval(pl.element().is_finite().fill_null(False)).arr.all()
        fix = "replace NaN and infinities by a number where the log is written"
        if feature.kind == "vector":
            fix = "replace nulls, NaN and infinities in it by numbers where the log is written"
        if feature.may_be_missing:
            expected = "finite, or missing as a whole"
            fix += ", or write null for all of it"
            rules.append(Rule("contract", feature.name, expected, fix, ~finite & is_missing(feature).not_()))
        else:
            missing = "a vector of NaN alone" if feature.kind == "vector" else "NaN"
            fix += f", or declare the feature with `missing: allowed`, by which {missing} is missing"
            rules.append(Rule("contract", feature.name, "finite, without NaN", fix, ~finite))
    return rules
