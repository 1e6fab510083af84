"""Tables of Table 1's study: one world's figures as rows of them."""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from ukdsl_assets.declaration.columns import CD, IMP, OWN, SCORED
from ukdsl_assets.evidence.study import Rows, TableOf
from ukdsl_assets.evidence.worlds.judgement import NEXT_DAY, PLACES, SAME_DAY, Place

BASELINE, CONTROL, CPU_CONTROL = "baseline", "equal-effort control", "equal-CPU control"
# What stands beside the arms: the stages' own predictions of that day, logged before they had learnt from it.
PRODUCTION, TEACHER = "pre-ranking as logged", "ranking as logged (the teacher)"
LOGGED = {PRODUCTION: "own", TEACHER: "teacher"}
# Arms of the same rows whose NE can be compared.
COMPARED = tuple(place for place in PLACES if place[0] != OWN)
CALIBRATIONS = tuple(place for place in PLACES if place not in ((SCORED, "teacher"), (OWN, "teacher")))
PARTS = ((IMP, "truth"), (SCORED, "truth"), (OWN, "truth"))
# Tables of NE relative to another arm: which, and when. What was logged had learnt until the day before.
OTHERS = {
    "control": (CONTROL, SAME_DAY),
    "cpu_control": (CPU_CONTROL, SAME_DAY),
    "production": (PRODUCTION, NEXT_DAY),
}


def tables_of(figures: list[dict[str, Any]], evaluation: pl.DataFrame, seconds: Mapping[str, float]) -> Rows:
    """One world's rows of the study's tables.

    Args:
        figures: of `Judgement.figures`.
        evaluation: of every head on shown rows and on those that the next stage scored, by models of the same day.
        seconds: CPU time of each arm's training, a day.
    """
    found = {(row["when"], row["arm"], row["domain"], row["reference"]): row for row in figures}
    names: list[str] = evaluation["arm"].unique(maintain_order=True).to_list()
    tables: Rows = {table.name: [] for table in TABLES} | {"figures": figures}
    for arm in names:
        heads = evaluation.filter(arm=arm)["head"].unique(maintain_order=True).to_list()
        named = {"arm": arm, "heads (IMP, CD)": f"{heads[0]}, {heads[-1]}"}

        def of(when: str, places: Iterable[Place], figure: str, arm: str = arm) -> dict[str, float | None]:
            return {_column(*at): found.get((when, arm, *at), {}).get(figure) for at in places}

        (order,) = evaluation.filter(arm=arm, head=heads[-1], domain=CD, reference="truth")["request_auc"]
        cost = {"CPU seconds a day": seconds.get(arm)}
        tables["calibration"].append(named | of(SAME_DAY, CALIBRATIONS, "calibration") | cost)
        tables["next_day"].append(named | of(NEXT_DAY, CALIBRATIONS, "calibration"))
        tables["ne"].append(named | of(SAME_DAY, COMPARED, "ne_change") | {"AUC in a request": order})
        tables["ne_next_day"].append(named | of(NEXT_DAY, COMPARED, "ne_change"))
        for name, (other, when) in OTHERS.items():
            mine, theirs = of(when, COMPARED, "ne"), of(when, COMPARED, "ne", other)
            changes = {column: _change(ne, theirs[column]) for column, ne in mine.items()}
            if any(change is not None for change in changes.values()):
                tables[name].append(named | changes)
        parts = [part for part in of(NEXT_DAY, PARTS, "calibration").values() if part is not None]
        if parts:
            tables["parts"].append({"arm": arm} | _parts(*parts))
    columns = ("calibration", "ne", "ne_change", "auc", "request_auc")
    tables["heads"] = [
        {"arm": row["arm"], "head": row["head"], "data": row["domain"], "against": row["reference"]}
        | {name: row[name] for name in columns}
        for row in evaluation.to_dicts()
    ]
    return tables


def _change(mine: float | None, theirs: float | None) -> float | None:
    return None if mine is None or theirs is None else mine / theirs - 1


def _parts(shown: float, everything: float, own: float) -> dict[str, float]:
    """Calibration against the truth on three sets, and what each step from one to the next adds.

    The last is net: a model overrates what it chooses by its own errors, and errs less on what is likest to shown rows.
    """
    return {
        "shown rows": shown,
        "all that it scores": everything,
        "its own choice": own,
        "used on what was not shown": everything - shown,
        "winner's curse, net": own - everything,
    }


def _column(domain: str, reference: str) -> str:
    return f"{domain}, {reference}"


_KEYS = ("arm", "heads (IMP, CD)")
_PAPER = "paper, production: "
_CALIBRATION = {_column(*place): ".3f" for place in CALIBRATIONS}
_NE = {_column(*place): "+.2%" for place in COMPARED}
TABLES = (
    TableOf(
        "calibration",
        "Calibration, same day: mean prediction over mean reference, by data and reference",
        keys=_KEYS,
        figures={**_CALIBRATION, "CPU seconds a day": ".2f"},
        beside=(
            {"arm": _PAPER + "baseline", "IMP, label": "1.01", "CD, teacher": "1.27"},
            {"arm": _PAPER + "with distillation", "IMP, label": "1.03", "CD, teacher": "1.12"},
        ),
    ),
    TableOf("next_day", "Calibration, next day", _KEYS, _CALIBRATION),
    TableOf(
        "parts",
        "Over-prediction by its parts, next day: calibration against the truth, and the difference of each step",
        ("arm",),
        {
            "shown rows": ".3f",
            "all that it scores": ".3f",
            "its own choice": ".3f",
            "used on what was not shown": "+.3f",
            "winner's curse, net": "+.3f",
        },
    ),
    TableOf(
        "ne",
        "NE relative to the baseline, same day",
        keys=_KEYS,
        figures={**_NE, "AUC in a request": ".4f"},
        beside=({"arm": _PAPER + "with distillation", "IMP, label": "+0.01%", "CD, teacher": "-1.98%"},),
    ),
    TableOf("ne_next_day", "NE relative to the baseline, next day", _KEYS, _NE),
    TableOf("control", "NE relative to the equal-effort control, same day", _KEYS, _NE),
    TableOf("cpu_control", "NE relative to the equal-CPU control, same day", _KEYS, _NE),
    TableOf(
        "production",
        "NE relative to what production's pre-ranking logged, next day; it has learnt since before the arms' first",
        _KEYS,
        _NE,
    ),
    TableOf(
        "figures",
        "Every arm, moment, data and reference; NE change relative to the baseline of the same moment",
        keys=("arm", "domain", "when", "reference"),
        figures={"rows": ",.0f", "calibration": ".3f", "ne": ".4f", "ne_change": "+.2%"},
        folded=True,
    ),
    TableOf(
        "heads",
        "Every head on shown rows and on those that the next stage scored, same day; NE relative to the baseline",
        keys=("arm", "head", "data", "against"),
        figures={"calibration": ".3f", "ne": ".4f", "ne_change": "+.2%", "auc": ".4f", "request_auc": ".4f"},
        folded=True,
    ),
)
