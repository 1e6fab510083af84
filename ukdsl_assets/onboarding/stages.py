"""Which columns are the stages' predictions, and in which order the stages stand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import polars as pl

from ukdsl_assets.errors import OnboardingError
from ukdsl_assets.onboarding.columns import Column, Guess, names_told
from ukdsl_assets.onboarding.keys import NEARLY_ALL

# Words in the names of predictions.
_OF_PREDICTIONS = (
    "score",
    "pred",
    "prediction",
    "predicted",
    "prob",
    "probability",
    "pctr",
    "pcvr",
    "ctr",
    "cvr",
    "pclick",
    "p",
)
# What is a rate of the past, or of a policy, and no stage's prediction.
_OF_OTHERS = (
    "hist",
    "history",
    "historic",
    "avg",
    "average",
    "mean",
    "past",
    "last",
    "prior",
    "smoothed",
    "propensity",
    "show",
    "explore",
    "discount",
)
_OF_CONVERSIONS = ("cvr", "pcvr", "conversion", "conv", "purchase", "buy", "order", "install", "cart", "sale")
# Stages by the words of their columns, in the order in which candidates pass them.
KNOWN_STAGES = {
    "retrieval": ("retrieval", "retrieve", "retriever", "recall", "l0"),
    "pre_ranking": ("prerank", "preranking", "preranker", "l1", "light", "coarse", "rough"),
    "ranking": ("rank", "ranking", "ranker", "l2", "heavy", "fine", "main", "final"),
    "re_ranking": ("rerank", "reranking", "reranker", "l3", "blend"),
}
BY_COUNT = {1: ("ranking",), 2: ("pre_ranking", "ranking"), 3: ("retrieval", "pre_ranking", "ranking")}
_LEAST_AGREEMENT = 0.1


@dataclass(frozen=True)
class StagePredictions:
    """A stage, and the columns of its predictions: of what is clicked, and of conversions where it logs any."""

    name: str
    column: str
    conversion: str | None = None


@dataclass(frozen=True)
class Stages:
    """The stages in order; predictions that found no place."""

    stages: tuple[StagePredictions, ...]
    guesses: tuple[Guess, ...]
    left_out: Mapping[str, str]


def guess_stages(columns: Mapping[str, Column], used: set[str], chosen: Sequence[tuple[str, str]]) -> Stages:
    """The stages of scored candidates: a later stage has scored fewer rows, all of which the one before has.

    Args:
        used: columns that are something else.
        chosen: (stage, column of its prediction) in order, as a person named them; empty to guess.

    Raises:
        OnboardingError: no column of numbers in [0, 1] can be a prediction.
    """
    if chosen:
        stages = tuple(StagePredictions(stage, column) for stage, column in chosen)
        guesses = tuple(Guess(f"stage {each.name}", each.column, 1.0, "as you said") for each in stages)
        return Stages(stages, guesses, {})
    likely = [
        column
        for column in columns.values()
        if column.name not in used and column.is_probability and not column.has_word(*_OF_OTHERS)
    ]
    named = [column for column in likely if column.has_word(*_OF_PREDICTIONS) or stage_word(column)]
    groups = _by_rows(named)
    if len(groups) < 2 and not _different_stages(named):
        # Names tell of one stage or none, so values decide; where they do not either, one stage it is.
        groups = _by_rows(likely, _agreeing(likely)) or groups
    if not groups:
        numbers = [
            f"{c.name} ({c.low:g} to {c.high:g})" for c in columns.values() if c.low is not None and c.dtype.is_float()
        ]
        raise OnboardingError(
            "no column of predictions: looked for numbers in [0, 1] (probabilities, after the sigmoid), null below the "
            f"stage that made them. Columns of fractions are {', '.join(numbers) or '(none)'}. Columns are "
            f"{names_told(columns.values())}. Name each stage's, in order: --stage pre_ranking=COLUMN "
            "--stage ranking=COLUMN"
        )
    return _named(groups, columns)


def stage_word(column: Column) -> str | None:
    """The stage that a column's name tells of; None where it tells of none."""
    words, joined = set(column.words), "_".join(column.words)
    if "pre_rank" in joined:
        return "pre_ranking"
    if "re_rank" in joined:
        return "re_ranking"
    return next((stage for stage, known in KNOWN_STAGES.items() if words & {*known}), None)


def _different_stages(named: list[Column]) -> bool:
    return len({stage_word(column) for column in named} - {None}) > 1


def _by_rows(likely: list[Column], agreeing: set[str] | None = None) -> list[list[Column]]:
    """Columns by the rows in which they have a value, most rows first; of two groups that cross, the larger stays."""
    groups: list[list[Column]] = []
    for column in sorted(likely, key=lambda each: -int(each.present.sum())):
        if agreeing is not None and column.name not in agreeing:
            continue
        same = [group for group in groups if (group[0].present == column.present).all()]
        if same:
            same[0].append(column)
        elif not groups or float(groups[-1][0].present.filter(column.present).mean() or 0) >= NEARLY_ALL:  # type: ignore[arg-type]
            groups.append([column])
    return groups


def _agreeing(likely: list[Column]) -> set[str]:
    """Columns that order rows as another of fewer or more rows does: predictions of one thing do, other numbers do not.

    Of columns with values in the same rows the one that agrees most with those of others.
    """
    best: dict[str, float] = {}
    for one in likely:
        for other in likely:
            if (one.present == other.present).all():
                continue
            both = one.present & other.present
            if int(both.sum()) < 30:
                continue
            values = pl.DataFrame({"one": one.values.filter(both), "other": other.values.filter(both)})
            agreement = values.select(pl.corr("one", "other", method="spearman")).item()
            best[one.name] = max(best.get(one.name, 0.0), float(agreement or 0))
    found = set()
    for group in _by_rows(likely):
        name = max((column.name for column in group), key=lambda each: best.get(each, 0.0))
        if best.get(name, 0.0) >= _LEAST_AGREEMENT:
            found.add(name)
    return found


def _named(groups: list[list[Column]], columns: Mapping[str, Column]) -> Stages:
    """Stages of groups of columns: one of each word in a group, in the known order, or one a group."""
    left_out: dict[str, str] = {}
    steps: list[tuple[str | None, list[Column]]] = []
    for group in groups:
        words = [word for word in KNOWN_STAGES if word in {stage_word(column) for column in group}]
        if len(words) > 1:
            steps += [(word, [column for column in group if stage_word(column) == word]) for word in words]
            others = [column.name for column in group if stage_word(column) is None]
            left_out |= dict.fromkeys(others, f"as full as {group[0].name}, and of no stage that its name tells")
        else:
            steps.append((words[0] if words else None, group))
    told_of = [word for word, _ in steps if word is not None]
    by_words = len({*told_of}) == len(steps)
    numbered = tuple(f"stage_{place}" for place in range(1, len(steps) + 1))
    names = tuple(told_of) if by_words else BY_COUNT.get(len(steps), numbered)
    stages, guesses = [], []
    for name, (_, group) in zip(names, steps, strict=True):
        conversions = [column for column in group if column.has_word(*_OF_CONVERSIONS)]
        clicks = [column for column in group if column not in conversions] or conversions
        clicks.sort(key=lambda each: not each.has_word(*_OF_PREDICTIONS))
        conversion = conversions[0].name if conversions and conversions[0] is not clicks[0] else None
        stages.append(StagePredictions(name, clicks[0].name, conversion))
        others = [c.name for c in (*clicks[1:], *conversions) if c.name not in (clicks[0].name, conversion)]
        left_out |= dict.fromkeys(others, f"as full as {clicks[0].name}; a second prediction of {name}, or a feature")
        share = float(clicks[0].present.mean() or 0)  # type: ignore[arg-type]
        told = f"in [0, 1] in {share:.0%} of the rows" + (
            f", {clicks[0].dtype} -1 is null" if clicks[0].sentinel else ""
        )
        confidence = (0.95 if by_words else 0.7) - 0.3 * bool(others)
        guesses.append(Guess(f"stage {name}", clicks[0].name, confidence, told))
        if conversion is not None:
            guesses.append(Guess(f"stage {name}, conversions", conversion, 0.7, "named so"))
    for earlier, later in pairwise(stages):
        if (columns[earlier.column].present == columns[later.column].present).all():
            guesses.append(Guess(f"{later.name} after {earlier.name}", later.column, 0.5, "both scored the same rows"))
    return Stages(tuple(stages), tuple(guesses), left_out)
