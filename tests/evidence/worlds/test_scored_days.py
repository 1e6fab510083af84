"""All that pre-ranking scored, and probes of what it rejected."""

import numpy as np
import polars as pl
import pytest

from tests.fixtures.worlds import SEED, WORLD
from ukdsl_assets.declaration.columns import CD, IMP, KEYS, REJECTED
from ukdsl_assets.evidence.worlds.scored_days import choice, chosen, probes, scored, with_probes
from ukdsl_assets.evidence.worlds.simulated_days import augmented, declared
from ukdsl_assets.simulation.ads.day import PRE_RANKED, RANKED, simulate_day
from ukdsl_assets.simulation.ads.production import ProductionModels
from ukdsl_assets.simulation.ads.truth import pair_signals

REQUESTS = 60
MODELS = ProductionModels(SEED, -1)
SERVED = simulate_day(WORLD, MODELS, 0, REQUESTS)
CASCADE, STUDENT = declared()
ROWS = scored(SERVED, MODELS, CASCADE, STUDENT)
AUGMENTED = augmented(SERVED, CASCADE, STUDENT)


def test_what_ranking_scored_is_as_the_training_rows_have_it() -> None:
    assert ROWS.filter(domain=CD).drop("explored").equals(AUGMENTED.filter(domain=CD).drop("explored"))


def test_every_scored_row_has_the_stages_predictions_and_the_truth() -> None:
    assert len(ROWS) == REQUESTS * PRE_RANKED
    assert len(ROWS.filter(domain=REJECTED)) == REQUESTS * (PRE_RANKED - RANKED)
    assert ROWS.select(KEYS).equals(ROWS.select(KEYS).sort(KEYS).unique(maintain_order=True))
    slots = np.take_along_axis(SERVED.slots, SERVED.pre_ranked, axis=1)
    signals = pair_signals(SERVED.requests, SERVED.ads, slots)
    teacher = MODELS.ranking(SERVED.requests, SERVED.ads, slots, signals)[0]
    assert ROWS["teacher"].to_numpy() == pytest.approx(teacher.ravel(), rel=1e-5)
    assert SERVED.true_click is not None
    truth = np.take_along_axis(SERVED.true_click, SERVED.pre_ranked, axis=1)
    assert np.array_equal(ROWS["truth"].to_numpy(), truth.ravel())
    assert np.array_equal(ROWS["own"].to_numpy(), SERVED.pre_ranking_click.ravel())


def test_probes_are_the_share_of_the_rejected_that_was_asked_for_and_stand_for_all() -> None:
    drawn = probes(ROWS, 0.25)
    assert drawn["domain"].unique().to_list() == [REJECTED]
    rejected = len(ROWS.filter(domain=REJECTED))
    assert drawn["weight"].sum() == pytest.approx(rejected, abs=4 * (rejected * 0.75 / 0.25) ** 0.5)
    assert drawn["target"].equals(drawn["teacher"])
    assert not len(probes(ROWS, 0.0))
    assert not drawn.select(KEYS).equals(probes(ROWS, 0.25, seed=1).select(KEYS))


def test_a_higher_rate_keeps_the_probes_of_a_lower_one() -> None:
    few, more = (probes(ROWS, rate).select(KEYS) for rate in (0.05, 0.2))
    assert len(few.join(more, on=KEYS, how="semi")) == len(few) < len(more)


def test_probes_stand_among_the_training_rows_in_order() -> None:
    drawn = probes(ROWS, 0.1)
    rows = with_probes(AUGMENTED, drawn)
    assert rows.columns == AUGMENTED.columns
    assert rows["request_id"].is_sorted()
    assert rows.filter(domain=REJECTED).equals(drawn.select(rows.columns))
    assert rows.filter(pl.col("domain").is_in([CD, IMP])).equals(AUGMENTED)


def test_what_production_would_hand_on_is_what_it_handed_on() -> None:
    picked = chosen(ROWS["bid"].to_numpy() * ROWS["own"].to_numpy())
    assert np.array_equal(picked, (ROWS["domain"] == CD).to_numpy())


def test_a_choice_is_worth_a_share_of_the_best() -> None:
    worth = np.concatenate([np.arange(80), np.arange(80)[::-1]]).astype(np.float32)
    assert choice(chosen(worth, 2), worth, 2) == (1, 1)
    second = np.zeros(160, dtype=bool)
    second[[79, 0, 80, 159]] = True
    assert choice(second, worth, 2) == (0.5, 79 / (79 + 78))
