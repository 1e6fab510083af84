"""The simulated item page: who is shown where, and that what happens is what the probabilities say."""

import numpy as np
import pytest

from ukdsl_assets.simulation.item_page import (
    ELIGIBLE,
    EXPLORED_SHARE,
    MODULES,
    PROPENSITY,
    SLOTS,
    ItemPageWorld,
    ServedPages,
    probabilities,
    top,
)

PAGES = 20_000
WORLD = ItemPageWorld(100)


@pytest.fixture(scope="module")
def served() -> ServedPages:
    return WORLD.serve(0, PAGES, WORLD.static_configuration)


def test_a_day_is_a_function_of_seed_and_day_alone(served: ServedPages) -> None:
    again = ItemPageWorld(100).serve(0, PAGES, WORLD.static_configuration)
    other = WORLD.serve(1, PAGES, WORLD.static_configuration)
    for name in ("shown", "clicked", "purchased"):
        assert np.array_equal(getattr(served, name), getattr(again, name))
        assert not np.array_equal(getattr(served, name), getattr(other, name))
    # The first pages of a day are the same, whatever its size.
    few = WORLD.page_views(0, 10)
    assert np.array_equal(few.click, served.views.click[:10])


def test_each_page_has_twelve_different_modules_and_every_module_is_as_often_among_them(served: ServedPages) -> None:
    modules = served.views.modules
    assert (np.diff(modules, axis=1) > 0).all()
    shares = np.bincount(modules.ravel(), minlength=MODULES + 1)[1:] / PAGES
    chance = ELIGIBLE / MODULES
    assert np.abs(shares - chance).max() < 5 * np.sqrt(chance * (1 - chance) / PAGES)


def test_the_static_configuration_has_one_order_on_every_page_that_did_not_explore(served: ServedPages) -> None:
    order = WORLD.static_configuration(served.views)
    shown = np.take_along_axis(order, served.shown, axis=1)[~served.explored]
    assert (np.diff(shown, axis=1) <= 0).all()
    rest = order.copy()
    np.put_along_axis(rest, served.shown, -np.inf, axis=1)
    assert (rest[~served.explored].max(axis=1) <= shown[:, -1]).all()


def test_exploration_shows_each_module_in_each_slot_equally_often(served: ServedPages) -> None:
    explored = served.explored
    assert abs(explored.mean() - EXPLORED_SHARE) < 5 * np.sqrt(EXPLORED_SHARE * 0.95 / PAGES)
    for slot in range(SLOTS):
        shares = np.bincount(served.shown[explored, slot], minlength=ELIGIBLE) / explored.sum()
        assert np.abs(shares - 1 / ELIGIBLE).max() < 5 * np.sqrt(1 / ELIGIBLE / explored.sum())
    assert PROPENSITY == SLOTS / ELIGIBLE


def test_clicks_and_purchases_come_as_often_as_they_are_probable(served: ServedPages) -> None:
    click, purchase = probabilities(served.views, served.shown)
    for slot in range(SLOTS):
        error = np.sqrt(click[:, slot].mean() / PAGES)
        assert abs(served.clicked[:, slot].mean() - click[:, slot].mean()) < 5 * error
    assert (served.purchased <= served.clicked).all()
    expected = purchase[served.clicked]
    assert abs(served.purchased.sum() - expected.sum()) < 5 * np.sqrt(expected.sum())
    assert (served.click_at > served.impression_at).all()
    assert (served.purchase_at >= served.click_at).all()


def test_the_same_module_is_clicked_less_the_further_down_it_stands(served: ServedPages) -> None:
    one = np.repeat(served.shown[:, :1], SLOTS, axis=1)
    click, purchase = probabilities(served.views, one)
    assert (np.diff(click, axis=1) < 0).all()
    assert (np.diff(purchase, axis=1) == 0).all()


def test_top_are_the_six_highest_in_order_and_of_equals_the_first() -> None:
    scores = np.array([[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8.0]])
    assert top(scores).tolist() == [[5, 11, 7, 4, 8, 10]]


def test_at_no_personalisation_one_order_is_best_on_all_pages_and_at_one_the_world_is_as_it_was() -> None:
    flat, usual = ItemPageWorld(100, 0.0), ItemPageWorld(100, 1.0)
    views = flat.page_views(0, 2000)
    # Between two modules the gap is the same on all pages that have both.
    of_module = {logit: np.full((2000, MODULES), np.nan) for logit in ("click", "purchase")}
    for logit, values in of_module.items():
        np.put_along_axis(values, views.modules - 1, getattr(views, logit), axis=1)
        gaps = values[:, :, None] - values[:, None, :]
        assert np.nanmax(np.nanmax(gaps, axis=0) - np.nanmin(gaps, axis=0)) < 1e-5
    for name in views._fields:
        assert np.array_equal(getattr(WORLD.page_views(0, 2000), name), getattr(usual.page_views(0, 2000), name))
        if name not in ("click", "purchase"):
            assert np.array_equal(getattr(views, name), getattr(usual.page_views(0, 2000), name))


def test_the_more_personal_the_world_the_more_orders_by_page_earn() -> None:
    gains = []
    for level in (0.0, 0.5, 1.0):
        world = ItemPageWorld(100, level)
        views = world.page_views(0, 5000)
        earned = [probabilities(views, top(s))[0].sum() for s in (world.static_configuration(views), views.click)]
        gains.append(earned[1] / earned[0] - 1)
    assert 0 <= gains[0] < 0.1
    assert gains[0] < gains[1] < gains[2]
    assert gains[2] > 0.2


def test_some_pages_answer_as_they_do_among_all(served: ServedPages) -> None:
    some = np.arange(0, PAGES, 7)
    views = type(served.views)(*(values[some] for values in served.views))
    answered = WORLD.respond(0, views, served.shown[some], served.explored[some])
    for name in ("clicked", "click_at", "purchased", "purchase_at"):
        assert np.array_equal(getattr(answered, name), getattr(served, name)[some])
