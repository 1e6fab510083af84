import numpy as np
import pytest
import torch

from ukdsl_assets.simulation.ads.day import CLOCK, Outcomes, simulate_day
from ukdsl_assets.simulation.ads.production import ProductionModels, conversion_targets
from ukdsl_assets.simulation.ads.world import World
from ukdsl_assets.simulation.scales import Scale

SCALE = Scale(requests=400, warm_up_requests=400, batch_requests=64, learning_rate=2e-3)


def _after_two_days(world: World) -> ProductionModels:
    models = ProductionModels(world.seed, -1)
    for day in range(2):
        models.train(simulate_day(world, models, day, SCALE.requests, truths=False), SCALE)
    return models


@pytest.fixture(scope="module")
def world() -> World:
    return World(100)


def test_results_do_not_depend_on_thread_counts_nor_on_the_global_generator(world: World) -> None:
    threads = torch.get_num_threads()
    states = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            torch.manual_seed(count)
            states.append(_after_two_days(world).state())
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)

    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_loaded_models_go_on_as_the_ones_they_were_saved_from(world: World) -> None:
    models = _after_two_days(world)
    copy = ProductionModels(world.seed, 1)
    copy.load({name: tensor.clone() for name, tensor in models.state().items()})

    for each in (models, copy):
        each.train(simulate_day(world, each, 2, SCALE.requests, truths=False), SCALE)

    assert all(torch.equal(models.state()[name], tensor) for name, tensor in copy.state().items())


def test_tomorrows_new_ads_get_fresh_rows_and_nobody_else(world: World) -> None:
    models = _after_two_days(world)
    before = {name: tensor.clone() for name, tensor in models.state().items()}
    served = simulate_day(world, models, 2, SCALE.requests, truths=False)

    models.train(served, Scale(400, 400, 64, learning_rate=0))

    wide = "ranking.wide.weight"
    changed = (models.state()[wide] != before[wide]).any(dim=1).numpy()
    # The 90 places of the ring that tomorrow's newest ads take over; some of them had never been trained.
    places = world.ads(3).ad[-90:] % 3_000
    assert 0 < changed.sum() == changed[places].sum()
    assert np.all(models.state()[wide].numpy()[places] == 0)
    table = "pre_ranking.ad_embedding.table.weight"
    renewed = (models.state()[table] != before[table]).any(dim=1).numpy().nonzero()[0]
    np.testing.assert_array_equal(np.sort(places), renewed)


def test_random_models_rank_by_bid(world: World) -> None:
    served = simulate_day(world, ProductionModels(100, -1), 0, 200, truths=False)
    bids = served.ads.bid[served.slots]
    by_bid = np.argsort(-bids, axis=1)[:, :80]

    shared = [len(np.intersect1d(kept, best)) for kept, best in zip(served.pre_ranked, by_bid, strict=True)]

    assert np.mean(shared) > 0.9 * 80


def test_training_makes_the_predictions_better_than_the_base_rate(world: World) -> None:
    models = ProductionModels(world.seed, -1)
    scale = Scale(2_000, 2_000, batch_requests=32, learning_rate=3e-3)
    for day in range(4):
        models.train(simulate_day(world, models, day, 2_000, truths=False), scale)

    served = simulate_day(world, models, 4, 2_000)

    assert served.true_click is not None
    truth = np.take_along_axis(served.true_click, served.ranked, axis=1).ravel()
    pre_ranking = np.take_along_axis(
        served.pre_ranking_click, (served.pre_ranked[:, None] == served.ranked[:, :, None]).argmax(axis=2), axis=1
    ).ravel()
    assert np.corrcoef(np.log(truth), np.log(served.ranking_click.ravel()))[0, 1] > 0.3
    assert np.corrcoef(np.log(truth), np.log(pre_ranking))[0, 1] > 0.3


def test_conversion_targets_estimate_the_final_rate_from_the_conversions_seen_so_far() -> None:
    random = np.random.default_rng(0)
    click_at = random.integers(0, 24 * 3_600_000_000, size=(50_000, 6))
    converted = random.random(click_at.shape) < 0.08
    conversion_at = click_at + random.exponential(20 * 3.6e9, click_at.shape).astype(np.int64)
    outcomes = Outcomes(click_at, np.ones_like(converted), click_at, converted, conversion_at)

    targets = conversion_targets(outcomes)

    assert np.all(targets[conversion_at >= CLOCK] == 0)
    assert abs(targets.mean() / converted.mean() - 1) < 0.03
