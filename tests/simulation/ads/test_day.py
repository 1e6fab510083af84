import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ukdsl_assets.simulation.ads.day import SimulatedDay, keep_top, simulate_day
from ukdsl_assets.simulation.ads.production import ProductionModels
from ukdsl_assets.simulation.ads.truth import true_probabilities
from ukdsl_assets.simulation.ads.world import Ads, Requests, World

REQUESTS = 4_000


@pytest.fixture(scope="module")
def world() -> World:
    return World(100)


@pytest.fixture(scope="module")
def served(world: World) -> SimulatedDay:
    return simulate_day(world, ProductionModels(100, -1), 0, REQUESTS)


def _at(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.take_along_axis(values, places, axis=1)


@given(arrays(np.float32, (4, 20), elements=st.sampled_from([0, 0.25, 0.5, 1, 3])), st.integers(1, 20))
def test_keep_top_takes_the_highest_and_of_equals_the_first(scores: np.ndarray, count: int) -> None:
    naive = [sorted(sorted(range(20), key=lambda place: (-row[place], place))[:count]) for row in scores]

    np.testing.assert_array_equal(keep_top(scores, count), naive)


def test_every_stage_keeps_the_top_by_bid_times_prediction(served: SimulatedDay) -> None:
    value_300 = served.ads.bid[served.slots] * served.retrieval_click
    value_80 = served.ads.bid[_at(served.slots, served.pre_ranked)] * served.pre_ranking_click
    ranked_among_80 = (served.pre_ranked[:, None] == served.ranked[:, :, None]).argmax(axis=2)

    for value, kept, count in ((value_300, served.pre_ranked, 80), (value_80, ranked_among_80, 24)):
        assert kept.shape == (REQUESTS, count)
        assert np.all(np.diff(kept, axis=1) > 0)
        dropped = value.copy()
        np.put_along_axis(dropped, kept, -1, axis=1)
        assert np.all(_at(value, kept).min(axis=1) >= dropped.max(axis=1))


def test_six_of_the_ranked_are_shown(served: SimulatedDay) -> None:
    assert served.shown.shape == (REQUESTS, 6)
    assert np.all(np.diff(served.shown, axis=1) > 0)
    assert served.shown.max() < 24
    np.testing.assert_array_equal(served.shown_slots, _at(_at(served.slots, served.ranked), served.shown))


def test_exploration_shows_each_ranked_place_equally_often(world: World) -> None:
    served = simulate_day(world, ProductionModels(100, -1), 1, 20_000, truths=False)
    shares = np.bincount(served.shown[served.explored].ravel(), minlength=24) / served.explored.sum()

    assert abs(served.explored.mean() - 0.02) < 5 * np.sqrt(0.02 * 0.98 / 20_000)
    assert np.all(np.abs(shares - 0.25) < 5 * np.sqrt(0.25 * 0.75 / served.explored.sum()))


def test_clicks_and_conversions_come_at_their_true_rates(served: SimulatedDay) -> None:
    assert served.true_click is not None
    assert served.true_conversion is not None
    places = _at(served.ranked, served.shown)
    click, conversion = _at(served.true_click, places), _at(served.true_conversion, places)
    outcomes = served.outcomes

    assert abs(outcomes.clicked.sum() - click.sum()) < 4 * np.sqrt(np.sum(click * (1 - click)))
    both = click * conversion
    assert abs(outcomes.converted.sum() - both.sum()) < 4 * np.sqrt(both.sum())
    assert not np.any(outcomes.converted & ~outcomes.clicked)


def test_delays_have_their_means(served: SimulatedDay) -> None:
    outcomes = served.outcomes
    clicks = outcomes.click_at - outcomes.impression_at
    conversions = outcomes.conversion_at - outcomes.click_at

    assert np.all(outcomes.impression_at >= served.requests.microsecond[:, None])
    assert clicks.min() >= 1_000_000
    np.testing.assert_allclose(clicks.mean() / 61e6, 1, atol=0.04)
    np.testing.assert_allclose(conversions.mean() / 72e9, 1, atol=0.04)


def test_outcomes_do_not_depend_on_whether_truths_are_computed(world: World, served: SimulatedDay) -> None:
    again = simulate_day(world, ProductionModels(100, -1), 0, REQUESTS, truths=False)

    assert again.true_click is None
    np.testing.assert_array_equal(again.shown, served.shown)
    np.testing.assert_array_equal(again.outcomes.conversion_at, served.outcomes.conversion_at)


class _Oracle:
    """Serves the true probabilities."""

    def __init__(self, world: World) -> None:
        self._world = world

    def retrieval(self, requests: Requests, ads: Ads, slots: np.ndarray) -> np.ndarray:
        return true_probabilities(self._world, requests, ads, slots)[0]

    pre_ranking = retrieval

    def ranking(
        self, requests: Requests, ads: Ads, slots: np.ndarray, signals: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return true_probabilities(self._world, requests, ads, slots)


def test_other_models_can_serve_and_the_truth_earns_more(world: World, served: SimulatedDay) -> None:
    ideal = simulate_day(world, _Oracle(world), 0, REQUESTS)

    np.testing.assert_array_equal(ideal.slots, served.slots)
    earned = [
        np.mean(day.ads.bid[day.shown_slots] * _at(day.true_click, _at(day.ranked, day.shown)))
        for day in (ideal, served)
        if day.true_click is not None
    ]
    assert earned[0] > 1.3 * earned[1]
