"""Table 2 of the paper in a synthetic world, in which it is known what each feature is good for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ukdsl_assets.evidence.study import Aim, Rows, Study, StudyProgress, TableOf
from ukdsl_assets.evidence.worlds.selection_rows import HELD, IMPORTANCE, TRAIN, augmented, declared, trained_teacher
from ukdsl_assets.evidence.worlds.selection_rules import (
    RULE_KEYS,
    Parts,
    compared_rules,
    kinds_chosen,
    measured_scores,
    tables_of_rules,
)
from ukdsl_assets.evidence.worlds.selection_world import REGIMES, SelectionWorld, selection_world
from ukdsl_assets.selection.rules.scores import Budget

COSTS = "base, cost budget"


def measure(settings: Mapping[str, Any], scratch: Path, progress: StudyProgress) -> Rows:
    """All rules in every regime, and once more in the first under a budget of costs."""
    import torch

    torch.set_num_threads(1)
    rows: Rows = {"rules": [], "union": [], "signals": []}
    for done, (name, regime) in enumerate(REGIMES.items()):
        world = selection_world(regime, settings["seed"])
        selection = {"budget": settings["budget"], "rows": settings["importance_rows"], "repeats": 1}
        cascade, student = declared(world, selection)
        teacher = trained_teacher(cascade, student, world, settings["teacher_requests"], settings["explored"])
        part_requests = {
            TRAIN: settings["requests"],
            IMPORTANCE: -(-settings["importance_rows"] // regime.shown),
            HELD: -(-settings["held_rows"] // regime.shown),
        }
        parts = Parts(*(augmented(teacher, world, part, requests) for part, requests in part_requests.items()))
        scores = measured_scores(cascade, student, parts)
        budgets = {name: Budget(features=settings["budget"])}
        if name == "base":
            budgets[COSTS] = Budget(cost=settings["budget"] * float(world.costs.mean()))
        for data, budget in budgets.items():
            compared, chosen = compared_rules(data, cascade, student, scores, budget, parts)
            for table, lines in compared.items():
                rows[table] += lines
            rows["signals"] += kinds_chosen(data, chosen, signals(world))
        progress(done + 1, len(REGIMES))
    return rows


def signals(world: SelectionWorld) -> dict[str, str | None]:
    """What each feature measures: a copy the same as what it copies, noise nothing."""
    names = world.names
    return {
        name: None if kind == "noise" else names[at]
        for name, kind, at in zip(names, world.kinds, world.copied, strict=True)
    }


def _aims() -> tuple[Aim, ...]:
    """What one rule should do, against labels or the teacher and against the truth."""
    aims: list[Aim] = []
    for data, rule, high, claim in (
        ("base", "grouped_permutation", 0.0, "beats the equal-size union"),
        ("strong shift", "grouped_permutation", 0.0, "beats the equal-size union"),
        ("no copies", "grouped_permutation", 0.005, "loses less than 0.5% to the equal-size union"),
        (COSTS, "cost_aware", 0.0, "beats the equal-cost union"),
    ):
        line = {"data": data, "rule": rule, "size": "equal"}
        aims += [
            Aim(f"{data}: {rule} {claim} on {figure}", "union", line, figure, high=high)
            for figure in ("IMP, label", "IMP, truth", "CD, teacher", "CD, truth")
        ]
    return tuple(aims)


STUDY = Study(
    name="table2",
    question="Which rule selects features best, on shown and on considered rows? (Table 2)",
    data="Synthetic worlds, 100 candidate features of which {budget} are chosen, {requests:,} requests of 60 "
    "candidates to train on, {importance_rows:,} withheld rows of each set for importance, {held_rows:,} shown "
    "rows and 15 considered ones of each of their requests to judge; label: clicks, teacher: a larger network, truth: "
    "the true probabilities; IMP by head impression, CD by head consideration",
    version=1,
    measure=measure,
    defaults={
        "requests": 3_000,
        "teacher_requests": 9_000,
        "explored": 0.2,
        "importance_rows": 20_000,
        "held_rows": 20_000,
        "budget": 24,
    },
    meanings={
        "requests": "requests that the student and what importance is measured of are trained on",
        "teacher_requests": "requests that the teacher is trained on",
        "explored": "share of the teacher's requests that showed random candidates",
        "importance_rows": "rows of each set that importance is measured on",
        "held_rows": "rows of each set that rules are judged on",
        "budget": "features to choose",
    },
    tables=(
        *tables_of_rules(),
        TableOf(
            "signals",
            "Of the chosen features: distinct signals, repeats of a signal, and noise",
            RULE_KEYS,
            {"signals": ".1f", "repeats": ".1f", "noise": ".1f"},
        ),
    ),
    aims=_aims(),
)
