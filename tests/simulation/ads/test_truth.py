import numpy as np
import pytest

from ukdsl_assets.simulation.ads.truth import candidates, dot_probabilities, pair_signals, true_probabilities
from ukdsl_assets.simulation.ads.world import World
from ukdsl_assets.simulation.hashing import NORMAL_LEVELS, hashed, integers, normals

SEED, DAY = 100, 3


@pytest.fixture(scope="module")
def world() -> World:
    return World(SEED)


def test_candidates_are_300_different_ads_in_order_of_their_id(world: World) -> None:
    slots = candidates(world, world.ads(DAY), DAY, world.requests(DAY, 400))

    assert slots.shape == (400, 300)
    assert np.all(np.diff(slots, axis=1) > 0)
    assert slots.min() >= 0
    assert slots.max() < 3_000


def test_candidates_follow_popularity(world: World) -> None:
    ads = world.ads(DAY)
    drawn = np.bincount(candidates(world, ads, DAY, world.requests(DAY, 2_000)).ravel(), minlength=3_000)
    chance = np.bincount(ads.drawn, minlength=3_000) / len(ads.drawn)

    # Drawing without replacement, an ad of chance p is among 300 of 3,000 with about 1 - exp(-c p).
    expected = 1 - np.exp(-chance * _effective_draws(chance))

    rare, popular = np.argsort(chance)[:1_000], np.argsort(chance)[-100:]
    for group in (rare, popular):
        assert abs(drawn[group].mean() / 2_000 / expected[group].mean() - 1) < 0.02


def _effective_draws(chance: np.ndarray) -> float:
    """The c for which the expected number of different ads is 300."""
    low, high = 300.0, 600.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if np.sum(1 - np.exp(-chance * middle)) < 300 else (low, middle)
    return low


def test_true_probabilities_equal_the_formula_computed_term_by_term(world: World) -> None:
    requests, ads = world.requests(DAY, 20), world.ads(DAY)
    slots = candidates(world, ads, DAY, requests)[:, ::30]

    click, conversion = true_probabilities(world, requests, ads, slots)

    for row in range(0, 20, 5):
        for column in range(slots.shape[1]):
            pair = _naive(int(requests.user[row]), int(ads.ad[slots[row, column]]), requests, row)
            np.testing.assert_allclose([click[row, column], conversion[row, column]], pair, rtol=2e-5)


def _naive(user: int, ad: int, requests: object, row: int) -> tuple[float, float]:
    """Both probabilities from nothing but hashes of ids, in double precision."""

    def n(purpose: str, *identifiers: int) -> float:
        return float(normals(SEED, purpose, *identifiers))

    segment, country, age = (int(integers(k, SEED, name, user)) for name, k in _USER_IDS)
    device = int(integers(4, SEED, "device", user))
    advertiser, category, form = (
        int(integers(k, SEED, name, ad)) for name, k in (("advertiser", 400), ("category", 40), ("format", 5))
    )
    hour, placement = int(requests.hour[row]), int(requests.placement[row])  # type: ignore[attr-defined]
    taste = [0.75 * n("segment centroid", segment, i) + 0.66 * n("user latent", user, i) for i in range(8)]
    appeal = [0.75 * n("category centroid", category, i) + 0.66 * n("ad latent", ad, i) for i in range(8)]
    affinity = sum(a * b for a, b in zip(taste, appeal, strict=True)) / 8**0.5
    profile0 = taste[0] + 0.5 * n("user profile", user, 0)
    blocks = [int(hashed(SEED, "pair", user, ad, block)) for block in range(3)]
    x = [float(NORMAL_LEVELS[(blocks[i // 4] >> 16 * (i % 4)) & 0xFFFF]) for i in range(9)]
    g = 0.7 * np.tanh(1.5 * x[0]) + 0.5 * x[1] * x[2] + 0.7 * max(x[3], 0) + 0.4 * x[4] * profile0
    g += 0.35 * np.sin(2 * x[5])
    by_user = 0.6 * n("user effect", user) + 0.5 * n("country effect", country)
    by_user += 0.5 * n("age_group effect", age) + 0.3 * n("device effect", device)
    by_ad = 0.7 * n("ad effect", ad) + 0.5 * n("advertiser effect", advertiser) + 0.5 * n("category effect", category)
    age_days = (1_000_000 + 90 * DAY + 2_999 - ad) // 90
    walk = sum(0.06 * n("ad walk", ad, DAY - back) for back in range(age_days))
    click = -4.6 + 0.08 * np.sin(2 * np.pi * DAY / 7) + 0.4 * by_user + 0.5 * by_ad + walk + 0.7 * affinity
    click += 0.15 * n("hour effect", hour) + 0.3 * n("placement effect", placement) + 0.25 * g + 0.3 * x[8]
    click += 0.3 * n("user_segment by category", segment, category) + 0.21 * n("hour by category", hour, category)
    click += 0.3 * n("placement by format", placement, form)
    own = 0.75**0.5
    conversion = -3.5 + 0.4 * (0.5 * by_user + own * n("user conversion effect", user))
    conversion += 0.5 * (0.5 * by_ad + own * n("ad conversion effect", ad))
    conversion += 0.35 * affinity + 0.2 * g + 0.25 * (x[6] + x[7])
    return 1 / (1 + np.exp(-click)), 1 / (1 + np.exp(-conversion))


_USER_IDS = (("user_segment", 64), ("country", 20), ("age_group", 8))


def test_pair_signals_are_fixed_for_a_user_and_an_ad(world: World) -> None:
    requests, ads, later = world.requests(0, 50), world.ads(0), world.ads(1)
    slots = np.tile(np.arange(100, 140), (50, 1))

    today = pair_signals(requests, ads, slots)
    tomorrow = pair_signals(requests, later, slots - 90)  # the same ads are 90 slots further down

    np.testing.assert_array_equal(today, tomorrow)
    assert abs(today.std() - 1) < 0.05


def test_dot_probabilities_are_the_sigmoid_of_the_dot_product() -> None:
    random = np.random.default_rng(0)
    request, ad = (random.normal(size=(rows, 16)).astype(np.float32) for rows in (5, 30))
    slots = random.integers(30, size=(5, 7))

    probability = dot_probabilities(request, ad, np.float32(-2.5), slots)

    logit = np.einsum("rd,rkd->rk", request.astype(np.float64), ad[slots]) - 2.5
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-logit)), rtol=1e-5)
