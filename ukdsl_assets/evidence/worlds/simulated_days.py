"""Days of the simulated cascade as a student's training rows, without a lake: what the graph's tables would hold."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.simulation.ads.day import SimulatedDay, simulate_day
from ukdsl_assets.simulation.ads.logs import FEATURES, REQUESTS_A_DAY
from ukdsl_assets.simulation.ads.production import ProductionModels
from ukdsl_assets.simulation.ads.state import StateFolder
from ukdsl_assets.simulation.ads.world import Ads, Requests, World
from ukdsl_assets.simulation.scales import SCALES, WARM_UP_DAYS, Scale

STUDENT = "pre_ranking_click"


def declared() -> tuple[Cascade, Student]:
    """The shipped cascade and its click student of pre-ranking, as users run them."""
    cascade = read_cascade(SHIPPED / "simulated_ads.yaml")
    return cascade, cascade.student(STUDENT)


def scale_of(requests: int) -> Scale:
    """Days of so many requests after the default scale's warm-up."""
    default = SCALES["default"]
    return Scale(requests, default.warm_up_requests, default.batch_requests, default.learning_rate)


def warmed_up(world: World, folder: Path) -> ProductionModels:
    """The production models after the warm-up days of the default scale; their state is kept in `folder`."""
    states = StateFolder(str(folder), world.seed, "default")
    if -1 in states.days():
        return states.load(-1)
    scale = SCALES["default"]
    models = ProductionModels(world.seed, -WARM_UP_DAYS - 1)
    for day in range(-WARM_UP_DAYS, 0):
        models.train(simulate_day(world, models, day, scale.warm_up_requests, truths=False), scale)
    states.save(models)
    return models


def augmented(
    served: SimulatedDay, cascade: Cascade, student: Student, averaged: NDArray[np.float32] | None = None
) -> pl.DataFrame:
    """The day's rows of `teacher_augmented` for the click student of pre-ranking under the logged teacher.

    Args:
        served: with truths.
        averaged: another teacher's predictions for the ranked, float32 [R, 24].

    Returns:
        In the SQL model's order its columns request_id, candidate_id, domain, explored, target, weight, bid, withheld
        and the student's features; beside them `truth`, and what the ranking (`teacher`) and pre-ranking (`own`) stage
        predicted, each Float32, and `averaged`, if given.
    """
    assert served.true_click is not None
    requests, ads = served.requests, served.ads
    slots = np.take_along_axis(served.slots, served.ranked, axis=1)
    shown, clicked = np.zeros(slots.shape, dtype=np.int64), np.zeros(slots.shape, dtype=np.float32)
    np.put_along_axis(shown, served.shown, 1, axis=1)
    np.put_along_axis(clicked, served.shown, served.outcomes.clicked.astype(np.float32), axis=1)
    own = np.zeros(served.slots.shape, dtype=np.float32)
    np.put_along_axis(own, served.pre_ranked, served.pre_ranking_click, axis=1)

    # A shown row stands twice, first as considered, then with its label.
    row = np.repeat(np.arange(slots.size), 1 + shown.ravel())
    labelled = np.append(False, row[1:] == row[:-1])
    request, slot = row // slots.shape[1], slots.ravel()[row]
    request_id = pl.Series(served.day * REQUESTS_A_DAY + requests.number)
    columns = {
        "request_id": request_id.gather(request),
        "candidate_id": ads.ad[slot],
        "domain": pl.Series([CD, IMP]).gather(labelled.astype(np.uint32)),
        "explored": shown.ravel()[row].astype(bool) & served.explored[request],
        "target": np.where(labelled, clicked.ravel()[row], served.ranking_click.ravel()[row]),
        "weight": np.ones(len(row), dtype=np.float32),
        "bid": ads.bid[slot],
        "withheld": withheld(request_id, cascade.withheld_share).gather(request),
    }
    for feature in cascade.features_of(student):
        columns[feature.name] = feature_of(requests, ads, feature.name, request, slot)
    columns["truth"] = np.take_along_axis(served.true_click, served.ranked, axis=1).ravel()[row]
    columns["teacher"] = served.ranking_click.ravel()[row]
    columns["own"] = np.take_along_axis(own, served.ranked, axis=1).ravel()[row]
    if averaged is not None:
        columns["averaged"] = averaged.ravel()[row]
    return pl.DataFrame(columns)


def feature_of(
    requests: Requests, ads: Ads, name: str, request: np.ndarray, slot: np.ndarray
) -> pl.Series | np.ndarray:
    """A declared feature of pairs of a request and a slot, integers [rows] each; features of the early stages only."""
    feature = FEATURES[name]
    if feature.kind == "vector":
        profile = np.ascontiguousarray(requests.profile[:, : feature.width])
        return pl.Series(profile, dtype=pl.Array(pl.Float32, feature.width or 1)).gather(request)
    return getattr(requests, name)[request] if feature.side == "request" else getattr(ads, name)[slot]
