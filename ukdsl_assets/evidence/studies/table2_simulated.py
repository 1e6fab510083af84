"""Table 2 of the paper in the simulated cascade, with counters, noisy copies and noise beside its own features."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ukdsl_assets.declaration.architectures import MlpArchitecture
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import IMP
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.selection import Selection
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.evidence.study import Rows, Study, StudyProgress
from ukdsl_assets.evidence.worlds.selection_rules import Parts, compared_rules, measured_scores, tables_of_rules
from ukdsl_assets.evidence.worlds.simulated_days import augmented, declared
from ukdsl_assets.frames.splits import halves
from ukdsl_assets.selection.choice import budget_of
from ukdsl_assets.selection.simplified import selection_of
from ukdsl_assets.simulation.ads.day import simulate_day
from ukdsl_assets.simulation.ads.production import ProductionModels
from ukdsl_assets.simulation.ads.world import World
from ukdsl_assets.simulation.scales import SCALES, WARM_UP_DAYS

# What clicks are counted by, as production's counters are.
COUNTED: tuple[tuple[str, ...], ...] = (
    ("ad",),
    ("advertiser",),
    ("category",),
    ("format",),
    ("user_segment",),
    ("country",),
    ("age_group",),
    ("device",),
    ("user_segment", "category"),
    ("hour", "category"),
    ("placement", "format"),
)
OF_CANDIDATE = {"ad", "advertiser", "category", "format"}
COPY_CORRELATION = 0.94
NOISE = 6
# Impressions that a rate is smoothed with, at the mean rate.
SMOOTHING = 50


def measure(settings: Mapping[str, Any], scratch: Path, progress: StudyProgress) -> Rows:
    """Days of one world: the first ones fill the counters, the last two train, measure importance and judge."""
    import torch

    torch.set_num_threads(1)
    seed, days = settings["seed"], settings["days"]
    cascade, student = with_candidates(*declared(), settings)
    world, scale = World(seed), SCALES["small"]
    models = ProductionModels(seed, -WARM_UP_DAYS - 1)
    for day in range(-WARM_UP_DAYS, 0):
        models.train(simulate_day(world, models, day, scale.warm_up_requests, truths=False), scale)
    logged: list[pl.DataFrame] = []
    for day in range(days):
        served = simulate_day(world, models, day, settings["requests"])
        logged.append(augmented(served, *declared()))
        models.train(served, scale)
        progress(day + 1, days + 2)
    rows = pl.concat(
        enriched(logged[day], [earlier.filter(domain=IMP) for earlier in logged[:day]], (seed, day))
        for day in range(days - 2, days)
    )
    # Withheld requests are halved: importance is measured on one half, rules are judged on the other.
    parts = Parts(rows.filter(~pl.col("withheld")), *halves(rows.filter("withheld"), seed))
    scores = measured_scores(cascade, student, parts)
    progress(days + 1, days + 2)
    compared, _ = compared_rules("simulated ads", cascade, student, scores, budget_of(selection_of(student)), parts)
    return compared


def with_candidates(cascade: Cascade, student: Student, settings: Mapping[str, Any]) -> tuple[Cascade, Student]:
    """The shipped cascade and student with the columns of `enriched` as candidate features."""
    more = [Feature(name=name, kind="numeric", side=side) for name, side in extra_features().items()]
    selecting = student.model_copy(
        update={
            "features": "selected",
            # Rules are compared on labels and teacher alone.
            "loss": student.loss.model_copy(update={"listwise": 0.0}),
            "architecture": MlpArchitecture(kind="mlp", hidden=(64, 32)),
            "epochs": settings["epochs"],
            "seed": settings["seed"],
            "selection": Selection(budget=settings["budget"], repeats=1, rows=settings["importance_rows"]),
        }
    )
    return cascade.model_copy(update={"features": (*cascade.features, *more), "students": (selecting,)}), selecting


def extra_features() -> dict[str, Any]:
    """Name -> side of what `enriched` adds."""
    sides: dict[str, Any] = {}
    for keys in COUNTED:
        side = "candidate" if OF_CANDIDATE & set(keys) else "request"
        sides |= {f"{'_'.join(keys)}_{what}": side for what in ("rate", "rate_yesterday", "impressions")}
    profile = {f"profile_{at}": "request" for at in range(4)}
    copied = {f"{name}_copy": side for name, side in {**profile, **_rates(sides)}.items()}
    noise = {f"noise_{at}": ("request" if at % 2 else "candidate") for at in range(NOISE)}
    return {**sides, **profile, **copied, **noise}


def enriched(rows: pl.DataFrame, before: Sequence[pl.DataFrame], seed: tuple[int, int]) -> pl.DataFrame:
    """Rows with click rates and log(1 + impressions) over the days before, single components of the profile, noisy
    copies of some, and noise.

    Args:
        rows: of `augmented`, one day. before: shown rows of each day before, oldest first; at least one.
    """
    history = pl.concat(before)
    mean = float(history["target"].mean() or 0.0)  # type: ignore[arg-type]
    for keys in COUNTED:
        name = "_".join(keys)
        for what, shown in ((f"{name}_rate", history), (f"{name}_rate_yesterday", before[-1])):
            counted = shown.group_by(keys).agg(pl.col("target").sum().alias("_clicks"), pl.len().alias("_shown"))
            rows = rows.join(counted, on=keys, how="left", maintain_order="left")
            clicks, count = pl.col("_clicks").fill_null(0), pl.col("_shown").fill_null(0)
            columns = {what: (clicks + SMOOTHING * mean) / (count + SMOOTHING)}
            if shown is history:
                columns[f"{name}_impressions"] = (1 + count).log()
            rows = rows.with_columns(**{key: column.cast(pl.Float32) for key, column in columns.items()})
            rows = rows.drop("_clicks", "_shown")
    rows = rows.with_columns(
        pl.col("user_profile").cast(pl.List(pl.Float32)).list.get(at).alias(f"profile_{at}") for at in range(4)
    )
    rng = np.random.default_rng(seed)
    sides = extra_features()
    request = rows["request_id"].rank("dense").to_numpy().astype(np.int64) - 1

    def drawn(side: str) -> np.ndarray:
        normals = rng.standard_normal(int(request.max()) + 1 if side == "request" else len(rows))
        return normals[request] if side == "request" else normals

    added: dict[str, np.ndarray] = {}
    for name, side in sides.items():
        if name.startswith("noise_"):
            added[name] = drawn(side)
        elif name.endswith("_copy"):
            own = rows[name.removesuffix("_copy")].to_numpy()
            spread = float(own.std()) * np.sqrt(1 / COPY_CORRELATION**2 - 1)
            added[name] = own + spread * drawn(side)
    return rows.with_columns(pl.Series(name, column.astype(np.float32)) for name, column in added.items())


def _rates(sides: Mapping[str, Any]) -> dict[str, Any]:
    """The rates of single keys of the candidate, which have copies."""
    return {f"{name}_rate": sides[f"{name}_rate"] for name in ("ad", "advertiser", "category", "format")}


STUDY = Study(
    name="table2-simulated",
    question="Which rule selects features best in the simulated cascade? (Table 2)",
    data="Simulated cascade, {requests:,} requests a day, pre-ranking's click student as a network; candidates: its 11 "
    "features, 33 counters, 4 components of the profile, 8 noisy copies and 6 of noise, {budget} chosen; half of the "
    "withheld requests of two days for importance, half to judge; label: clicks, teacher: ranking's logged "
    "predictions, truth: the simulated probabilities; IMP by head impression, CD by head consideration",
    version=1,
    measure=measure,
    defaults={"requests": 4_000, "days": 5, "epochs": 2, "budget": 16, "importance_rows": 20_000},
    meanings={
        "requests": "requests a day",
        "days": "days: the last two train and judge, those before fill the counters",
        "epochs": "passes over the rows of each training",
        "budget": "features to choose",
        "importance_rows": "most rows of each set that importance is measured on",
    },
    tables=tables_of_rules(),
)
