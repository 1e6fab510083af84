"""Large and small surfaces as frames: KuaiRand's tabs, resampled by user, and two surfaces of a simulated world."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS, truth_column
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.sources import KuaiRandSource, SimulatedSource
from ukdsl_assets.logs.contract import candidate_log_dtypes
from ukdsl_assets.logs.sources import kuairand
from ukdsl_assets.simulation.ads.day import SimulatedDay, simulate_day
from ukdsl_assets.simulation.ads.logs import FEATURES, REQUESTS_A_DAY, candidate_log, event_log, midnight_of
from ukdsl_assets.simulation.ads.production import ProductionModels
from ukdsl_assets.simulation.ads.world import World
from ukdsl_assets.simulation.scales import SCALES, WARM_UP_DAYS

# The last four days of KuaiRand-Pure are judged, those before are trained on.
FIRST_JUDGED = date(2022, 5, 5)

# Ids that each request of a resample may take, one a copy.
COPIES = 64

# Raise it when the rows change for the same declaration.
ROWS_VERSION = 1


@dataclass(frozen=True)
class Surface:
    """Candidates of a small surface: keys, shown, a label column a task (null where there is none), features, and
    `truth` of the first task if it is known; sorted by key. `judged` are of later days than `train`."""

    cascade: Cascade
    train: pl.DataFrame
    judged: pl.DataFrame


def kuairand_cascade(tab: int, unshown: int) -> Cascade:
    """The shipped cascade of a tab with so many drawn candidates an impression."""
    cascade = read_cascade(SHIPPED / f"kuairand_tab{tab}.yaml")
    assert isinstance(cascade.source, KuaiRandSource)
    source = cascade.source.model_copy(update={"candidates_per_impression": unshown})
    return cascade.model_copy(update={"source": source})


def kuairand_candidates(cascade: Cascade, folder: Path, scratch: Path) -> pl.DataFrame:
    """All declared days of a tab, `day` and `user` beside the columns of `Surface`; kept in `scratch`."""
    # All that the rows depend on but the code.
    declared = sha256(f"{ROWS_VERSION} {folder.resolve()} {cascade.model_dump_json()}".encode()).hexdigest()[:12]
    kept = scratch / f"{cascade.name}-{declared}.parquet"
    if kept.is_file():
        return pl.read_parquet(kept)
    source = kuairand.KuaiRandReader(cascade, folder)
    last = cascade.last_day or cascade.first_day
    days = [cascade.first_day + timedelta(days=index) for index in range((last - cascade.first_day).days + 1)]
    rows = pl.concat([labelled_candidates(cascade, *source.read(day)).with_columns(day=pl.lit(day)) for day in days])
    # Processes of other seeds may be at it too; a rename is all or nothing.
    unfinished = kept.with_suffix(f".{id(rows)}.unfinished")
    rows.write_parquet(unfinished)
    unfinished.rename(kept)
    return rows


def labelled_candidates(cascade: Cascade, candidates: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """A day's candidates with their labels, as the SQL model `impressions` attributes those of tasks without delay."""
    rows = candidates
    for task in cascade.tasks:
        happened = events.filter(event=task.event).select(*KEYS, pl.lit(1.0, pl.Float32).alias(task.name)).unique()
        rows = rows.join(happened, on=KEYS, how="left", maintain_order="left")
    for task in cascade.tasks:
        has_label = pl.col("shown") if task.given is None else pl.col("shown") & (pl.col(task.given) == 1)
        rows = rows.with_columns(pl.when(has_label).then(pl.col(task.name).fill_null(0)).alias(task.name))
    features = [feature.name for feature in cascade.features]
    truth = [pl.col(truth_column(cascade.tasks[0].name)).alias("truth")] if cascade.has_truth else []
    kept = rows.select(*KEYS, "shown", "deepest_stage", *(task.name for task in cascade.tasks), *features, *truth)
    return kept.sort(KEYS)


def resampled(rows: pl.DataFrame, seed: int) -> pl.DataFrame:
    """As many users as there are in KuaiRand, drawn with replacement, with all their rows.

    A user that is drawn twice makes each request twice, under another id; the draw of a seed is the same for all tabs.
    """
    users = rows["user_id"].unique().sort()
    # A user's count hangs on no other tab's users: each id has its own stream.
    counts = pl.Series([int(np.random.default_rng((seed, user)).poisson(1.0)) for user in users])
    drawn = rows.join(pl.DataFrame({"user_id": users, "count": counts}), on="user_id", maintain_order="left")
    copies = drawn.with_columns(copy=pl.int_ranges("count")).filter(pl.col("count") > 0).explode("copy")
    return (
        copies.with_columns(request_id=pl.col("request_id") * COPIES + pl.col("copy")).drop("copy", "count").sort(KEYS)
    )


def kuairand_surface(tab: int, unshown: int, folder: Path, scratch: Path, seed: int) -> Surface:
    """A tab whose users are resampled; days before FIRST_JUDGED are trained on."""
    cascade = kuairand_cascade(tab, unshown)
    rows = resampled(kuairand_candidates(cascade, folder, scratch), seed)
    early = pl.col("day") < FIRST_JUDGED
    return Surface(cascade, rows.filter(early).drop("day"), rows.filter(~early, "shown").drop("day"))


def simulated_source(seed: int, days: int) -> tuple[Cascade, pl.DataFrame]:
    """The shipped ads cascade in another world, and the shown rows of its days with labels and all features."""
    cascade = read_cascade(SHIPPED / "simulated_ads.yaml")
    scale = SCALES["default"]
    return cascade, pl.concat([shown_rows(served) for served in _served(World(seed), [scale.requests] * days)])


def _served(world: World, requests: Sequence[int], truths: bool = False) -> Iterator[SimulatedDay]:
    """Days of so many requests after a warm-up of the first's size, each served by what learnt from those before."""
    scale = SCALES["default"]
    models = ProductionModels(world.stream % 2**32, -WARM_UP_DAYS - 1)
    for day in range(-WARM_UP_DAYS, 0):
        models.train(simulate_day(world, models, day, requests[0], truths=False), scale)
    for day, count in enumerate(requests):
        served = simulate_day(world, models, day, count, truths)
        yield served
        models.train(served, scale)


def shown_rows(served: SimulatedDay) -> pl.DataFrame:
    """The impressions of a simulated day: keys, labels, features."""
    slot = served.shown_slots.ravel()
    request = np.repeat(np.arange(len(served.shown_slots)), served.shown_slots.shape[1])
    clicked = served.outcomes.clicked.ravel()
    converted = np.where(clicked, served.outcomes.converted.ravel(), np.nan).astype(np.float32)
    columns: dict[str, pl.Series | np.ndarray] = {
        "request_id": served.day * REQUESTS_A_DAY + served.requests.number[request],
        "candidate_id": served.ads.ad[slot],
        "click": clicked.astype(np.float32),
        "conversion": pl.Series(converted, nan_to_null=True),
    }
    signals = np.take_along_axis(served.signals, served.shown[:, :, None], axis=1).reshape(len(slot), -1)
    profile = served.requests.profile[request]
    vectors = {"user_profile": profile[:, :4], "user_profile_detail": profile[:, 4:], "pair_signals": signals}
    for name, feature in FEATURES.items():
        if feature.kind == "vector":
            values = np.ascontiguousarray(vectors[name])
            columns[name] = pl.Series(values, dtype=pl.Array(pl.Float32, values.shape[1]))
        else:
            of_request = feature.side == "request"
            columns[name] = getattr(served.requests, name)[request] if of_request else getattr(served.ads, name)[slot]
    return pl.DataFrame(columns).sort(KEYS)


def simulated_surface(seed: int, days: int, judged: int) -> Surface:
    """The shipped small surface in another world; of the day after the last, `judged` requests are judged.

    A day with more requests only adds some, so that what is judged is a larger sample of what would have been served.
    """
    cascade = read_cascade(SHIPPED / "simulated_small_surface.yaml")
    assert isinstance(cascade.source, SimulatedSource)
    assert cascade.source.surface is not None
    surface = cascade.source.surface
    counts = [round(SCALES["default"].requests * surface.traffic)] * days
    parts = []
    for served in _served(World(seed, surface), [*counts, judged], truths=True):
        midnight = midnight_of(cascade.first_day + timedelta(days=served.day))
        names = {name: surface.columns.get(name, name) for name in candidate_log_dtypes(cascade)}
        log = candidate_log(served, midnight, names.values()).rename({there: here for here, there in names.items()})
        # A week later all conversions are known.
        rows = labelled_candidates(cascade, log, event_log(served, midnight, midnight + timedelta(days=8)))
        parts.append(rows.filter(deepest_stage="ranking"))
    return Surface(cascade, pl.concat(parts[:-1]), parts[-1])
