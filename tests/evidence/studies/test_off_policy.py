"""A small world through the study of off-policy estimates."""

from pathlib import Path

import numpy as np
import pytest

from ukdsl_assets.evidence.studies.off_policy import (
    REWARDS,
    STUDY,
    VALUE,
    logged_pages,
    measure,
    own_pages,
    ranker,
    true_values,
)
from ukdsl_assets.evidence.units import settings_of
from ukdsl_assets.simulation.item_page import ItemPageWorld, probabilities, top

WORLD = ItemPageWorld(100)


def test_truth_is_the_mean_of_true_probabilities_in_the_slots_of_each_policy() -> None:
    ranked, static = true_values(WORLD, 300)
    views = WORLD.page_views(100, 300)
    click, purchase = probabilities(views, top(WORLD.static_configuration(views)))
    assert static == pytest.approx({"click": click.sum(1).mean(), "purchase": (click * purchase).sum(1).mean()})
    assert ranked["click"] > static["click"]


def test_logs_hold_what_was_shown_by_chance_and_what_came_of_it() -> None:
    logged, own = logged_pages(WORLD, 0, 300), own_pages(WORLD, 0, 300)
    explored = logged.explored
    assert explored.uniform()
    assert set(explored.slots) == {6}
    assert all(logged.rewards[task][explored.slot == 0].sum() == 0 for task in REWARDS)
    assert logged.rewards["purchase"].sum() <= logged.rewards["click"].sum()
    assert 0 < own["click"].mean() < 6
    assert logged.models["click"].shape == (300 * 12, 6)
    assert np.array_equal(ranker(WORLD, logged.views), ranker(WORLD, logged.views))


def test_a_world_gives_every_figure_of_every_line(tmp_path: Path) -> None:
    small = {"few_pages": 150, "pages": 300, "own_pages": 300, "judged_pages": 300, "logs": 2}
    done: list[tuple[int, int]] = []
    tables = measure(settings_of(STUDY, 100, small), tmp_path, lambda *steps: done.append(steps))
    assert done == [(1, 2), (2, 2)]
    for task in REWARDS:
        lines = {tuple(line[key] for key in STUDY.tables[0].keys): line for line in tables[f"{task}s"]}
        aimed = {tuple(aim.line.values())[1:] for aim in STUDY.aims}
        assert aimed <= {key[1:] for key in lines}
        of_value = lines["300", VALUE, "dr"]
        assert 0 <= of_value["coverage"] <= 1
        assert of_value["half width"] > 0
        assert of_value["RMSE"] >= abs(of_value["bias"]) - 1e-9
