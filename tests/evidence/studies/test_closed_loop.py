"""Arms that serve: the student's own predictions, figures as counted by hand, and a small world through the study."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.fixtures.worlds import SEED, WORLD, barely_warmed_up
from ukdsl_assets.evidence.studies.closed_loop import CEILINGS, OTHERS, STUDY, measure, outcome, recall
from ukdsl_assets.evidence.units import settings_of
from ukdsl_assets.evidence.worlds.arms import RECIPES, Learner
from ukdsl_assets.evidence.worlds.serving import RankingServes, StudentServes, TruthServes
from ukdsl_assets.evidence.worlds.simulated_days import augmented, declared
from ukdsl_assets.learning.metrics.platt import apply_platt
from ukdsl_assets.simulation.ads.day import SimulatedDay, simulate_day
from ukdsl_assets.simulation.ads.production import ProductionModels
from ukdsl_assets.simulation.hashing import normals

pytestmark = pytest.mark.slow
CASCADE, STUDENT = declared()


@pytest.fixture(scope="module")
def models() -> ProductionModels:
    return ProductionModels(SEED, -1)


@pytest.fixture(scope="module")
def served(models: ProductionModels) -> SimulatedDay:
    return simulate_day(WORLD, models, 0, 120)


@pytest.mark.parametrize("arm", ["two heads", "Platt layer"])
def test_a_student_serves_what_it_predicts_with_its_last_head(
    arm: str, models: ProductionModels, served: SimulatedDay
) -> None:
    learner = Learner(RECIPES[arm], CASCADE, STUDENT)
    rows = augmented(served, CASCADE, STUDENT)
    learner.train(rows)
    serving = StudentServes(models, learner, CASCADE, STUDENT)
    slots = np.take_along_axis(served.slots, served.ranked, axis=1)
    scored = serving.pre_ranking(served.requests, served.ads, slots).ravel()
    considered = rows.filter(domain="CD")
    expected = learner.predict(considered)["consideration"]
    np.testing.assert_allclose(scored, expected, rtol=2e-5)
    if arm == "Platt layer":
        np.testing.assert_allclose(expected, apply_platt(learner.predict(considered)["impression"], *learner.line))


def test_ceilings_score_with_the_ranking_model_and_with_the_truth(
    models: ProductionModels, served: SimulatedDay
) -> None:
    slots = np.take_along_axis(served.slots, served.ranked, axis=1)
    ranking = RankingServes(models, ("retrieval",))
    # Blocks of requests are added in another order.
    np.testing.assert_allclose(ranking.retrieval(served.requests, served.ads, slots), served.ranking_click, rtol=1e-5)
    own = models.pre_ranking(served.requests, served.ads, slots)
    np.testing.assert_allclose(ranking.pre_ranking(served.requests, served.ads, slots), own, rtol=1e-6)
    truth = TruthServes(models, WORLD).pre_ranking(served.requests, served.ads, slots)
    assert served.true_click is not None
    np.testing.assert_allclose(truth, np.take_along_axis(served.true_click, served.ranked, axis=1), rtol=1e-6)


def test_figures_are_those_counted_row_by_row(served: SimulatedDay) -> None:
    truth, bid = served.true_click, served.ads.bid
    assert truth is not None
    revenue = at_bids = clicks = best = own = ranking = kept = 0.0
    for request in range(120):
        worth = {place: bid[served.slots[request, place]] * truth[request, place] for place in range(300)}
        top = sorted(worth, key=lambda place: worth[place], reverse=True)
        for position in served.shown[request]:
            place = served.ranked[request, position]
            ad = int(served.ads.ad[served.slots[request, place]])
            at_bids += worth[place]
            revenue += worth[place] * np.exp(0.8 * float(normals(WORLD.stream, "auction", 0, request, ad)))
            clicks += truth[request, place]
        best += len(set(top[:24]) & set(served.ranked[request]))
        for position, place in enumerate(served.ranked[request]):
            kept += truth[request, place]
            own += served.pre_ranking_click[request, list(served.pre_ranked[request]).index(place)]
            ranking += served.ranking_click[request, position]
    found = outcome(WORLD, served)
    assert found["revenue"] == pytest.approx(revenue / 120, rel=1e-5)
    assert found["at bids alone"] == pytest.approx(at_bids / 120, rel=1e-5)
    assert found["clicks"] == pytest.approx(clicks / 120, rel=1e-5)
    assert found["best 24 kept"] == pytest.approx(best / (120 * 24), abs=1e-9)
    assert found["own selection"] == pytest.approx(own / kept, rel=1e-5)
    assert found["ranking on it"] == pytest.approx(ranking / kept, rel=1e-5)


def test_recall_is_one_for_the_best_and_none_for_the_worst() -> None:
    worth = np.random.default_rng(0).random((5, 30)).astype(np.float32)
    order = np.argsort(-worth, axis=1)
    assert recall(worth, order[:, :7], 7) == 1
    assert recall(worth, order[:, 10:], 7) == 0
    assert recall(worth, order[:, 3:13], 7) == pytest.approx(4 / 7)


def test_a_small_world_pairs_arms_and_ceilings_with_the_baseline(tmp_path: Path) -> None:
    barely_warmed_up(tmp_path)
    given = {
        "requests_before": 300,
        "requests": 200,
        "days_before": 2,
        "days": 2,
        "judged": 1,
        "arms": ["baseline", "two heads"],
    }
    steps: list[tuple[int, int]] = []
    settings = settings_of(STUDY, SEED, given)
    rows = measure(settings, tmp_path, lambda *step: steps.append(step))["earned"]
    assert [row["arm"] for row in rows] == ["baseline", "two heads", *OTHERS]
    assert steps[-1] == (12, 12)
    by_arm = pl.DataFrame(rows)
    assert by_arm["revenue vs baseline"][0] == 0
    change = by_arm["revenue"] / by_arm["revenue"][0] - 1
    assert by_arm["revenue vs baseline"].to_list() == pytest.approx(change.to_list())
    # With the truth at pre-ranking, of what retrieval left it keeps the best 24 of all.
    truth = by_arm.filter(arm=CEILINGS[1]).row(0, named=True)
    assert truth["best 24 kept"] > by_arm["best 24 kept"][:2].max()
    assert truth["own selection"] == pytest.approx(1, abs=1e-6)
