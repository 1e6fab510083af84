import numpy as np
import pytest

from ukdsl_assets.simulation.ads.world import ACTIVE_ADS, NEW_ADS_A_DAY, World


@pytest.fixture(scope="module")
def world() -> World:
    return World(100)


@pytest.mark.parametrize("day", [-12, 0, 5_000])
def test_a_day_keeps_yesterdays_ads_but_the_oldest(world: World, day: int) -> None:
    yesterday, today = world.ads(day - 1), world.ads(day)

    np.testing.assert_array_equal(today.ad[:-NEW_ADS_A_DAY], yesterday.ad[NEW_ADS_A_DAY:])
    assert today.ad.min() > 0
    assert len(np.unique(today.ad)) == ACTIVE_ADS
    for name in ("advertiser", "category", "format", "bid", "latent", "conversion_effect"):
        np.testing.assert_array_equal(getattr(today, name)[:-NEW_ADS_A_DAY], getattr(yesterday, name)[NEW_ADS_A_DAY:])


def test_click_effects_of_ads_walk_by_a_twentieth_a_day(world: World) -> None:
    step = world.ads(4).click_effect[:-NEW_ADS_A_DAY] - world.ads(3).click_effect[NEW_ADS_A_DAY:]

    assert abs(step.std() - 0.06) < 5 * 0.06 / np.sqrt(2 * len(step))
    assert abs(step.mean()) < 5 * 0.06 / np.sqrt(len(step))


def test_more_requests_only_add_further_ones(world: World) -> None:
    few, many = world.requests(2, 100), world.requests(2, 300)

    for name, values in few._asdict().items():
        np.testing.assert_array_equal(values, getattr(many, name)[:100])


def test_days_and_seeds_have_their_own_requests(world: World) -> None:
    user = world.requests(0, 1_000).user

    assert np.mean(user == world.requests(1, 1_000).user) < 0.05
    assert np.mean(user == World(101).requests(0, 1_000).user) < 0.05


def test_moments_lie_in_the_hour_of_the_request(world: World) -> None:
    requests = world.requests(0, 20_000)

    np.testing.assert_array_equal(requests.microsecond // 3_600_000_000, requests.hour)
    assert set(requests.hour) == set(range(24))


def test_popular_ads_are_listed_in_proportion_to_their_weight(world: World) -> None:
    listed = np.sort(np.bincount(world.ads(0).drawn, minlength=ACTIVE_ADS))

    assert listed.min() >= 7
    # Weights from (0 + 30) ** -0.7 to (3,000 + 30) ** -0.7.
    assert 0.8 < (listed[-1] / listed[0]) / (3_030 / 30) ** 0.7 < 1.25
