"""The synthetic world of feature selection: what each kind of feature is good for holds in its rows."""

from collections import Counter

import numpy as np
import polars as pl
import pytest

from ukdsl_assets.evidence.studies.table2 import signals
from ukdsl_assets.evidence.worlds.selection_rows import HELD, KEPT, TRAIN, augmented, declared, trained_teacher
from ukdsl_assets.evidence.worlds.selection_world import (
    CANDIDATES,
    FEATURES,
    KINDS,
    REGIMES,
    SelectionWorld,
    selection_world,
)
from ukdsl_assets.learning.metrics.auc import auc


@pytest.fixture(scope="module")
def world() -> SelectionWorld:
    return selection_world(REGIMES["base"], 100)


@pytest.fixture(scope="module")
def rows(world: SelectionWorld) -> pl.DataFrame:
    return world.day(0, 600, CANDIDATES)


def test_every_regime_has_a_hundred_features_of_the_named_kinds() -> None:
    for name, regime in REGIMES.items():
        world = selection_world(regime, 100)
        counted = Counter(world.kinds)
        assert counted.pop("copy", 0) == regime.copies == (0 if name == "no copies" else 18)
        assert counted.pop("noise") == FEATURES - sum(KINDS.values()) - regime.copies
        assert counted == dict(KINDS)
        assert len(set(world.names)) == FEATURES


def test_a_copy_correlates_with_what_it_copies_and_nothing_else_does(world: SelectionWorld, rows: pl.DataFrame) -> None:
    found = np.corrcoef(rows.select(world.names).to_numpy().T)
    for at, kind in enumerate(world.kinds):
        if kind == "copy":
            assert found[at, world.copied[at]] == pytest.approx(0.94, abs=0.01)
            found[at, world.copied[at]] = found[world.copied[at], at] = 0
    assert np.abs(found - np.diag(np.diag(found))).max() < 0.03


def test_the_best_of_each_request_are_shown_and_clicked_more(rows: pl.DataFrame) -> None:
    shown = rows.group_by("request_id").agg(pl.col("shown").sum())["shown"]
    assert shown.unique().to_list() == [REGIMES["base"].shown]
    truth = rows.group_by("shown").agg(pl.col("truth").mean()).sort("shown")["truth"]
    assert truth[1] > 2 * truth[0]
    assert rows["label"].mean() == pytest.approx(rows["truth"].mean(), rel=0.05)


def test_the_truth_uses_a_feature_where_its_kind_says(world: SelectionWorld) -> None:
    rows = world.day(1, 4000, 20)
    logit = np.log(rows["truth"].to_numpy() / (1 - rows["truth"].to_numpy()))

    def slopes(kind: str, chosen: np.ndarray) -> float:
        """Mean |slope| of the logit over the effect, 1 where the feature has its whole effect."""
        places = [at for at, each in enumerate(world.kinds) if each == kind and at not in set(world.copied[-54:])]
        x = np.column_stack([rows[world.names[at]].to_numpy() for at in places])[chosen]
        centred = x - x.mean(0)
        found = centred.T @ (logit[chosen] - logit[chosen].mean()) / (centred**2).sum(0)
        return float((found / world.effects[places]).mean())

    shown = rows["shown"].to_numpy()
    assert slopes("top", shown) > 0.6 > 0.4 > slopes("top", ~shown)
    assert slopes("below", ~shown) > 0.7 > 0.5 > slopes("below", shown)
    # Without the shown, what raises the score has less room, and the two parts of the truth mix.
    assert slopes("both", ~shown) == pytest.approx(0.9, abs=0.1)


def test_parts_share_no_request_and_repeat_themselves(world: SelectionWorld, rows: pl.DataFrame) -> None:
    assert world.day(0, 600, CANDIDATES).equals(rows)
    assert not set(world.day(1, 50, 3)["request_id"]) & set(rows["request_id"])
    few = world.day(2, 50, 3)
    assert few.filter("considered").height == 150
    assert few.filter("shown").height == 50 * REGIMES["base"].shown
    explored = world.day(2, 50, 0, explored=1.0)
    assert explored["candidate_id"].max() == REGIMES["base"].shown - 1


def test_rows_are_labelled_where_shown_and_taught_where_considered(world: SelectionWorld) -> None:
    cascade, student = declared(world, {"budget": 24})
    teacher = trained_teacher(cascade, student, world, 600, 0.2)
    rows = augmented(teacher, world, TRAIN, 100)
    assert rows.filter(domain="IMP").height == 100 * REGIMES["base"].shown
    assert rows.filter(domain="CD").height == 100 * KEPT
    assert rows.filter(domain="IMP")["target"].unique().sort().to_list() == [0, 1]
    held = augmented(teacher, world, HELD, 400).filter(domain="CD")
    clicks = (held["truth"] > held["truth"].mean()).cast(pl.Float32)
    assert auc(held["target"], clicks) > 0.6
    assert [each.name for each in cascade.candidates_of(student)] == list(world.names)


def test_signals_name_what_a_copy_copies_and_nothing_for_noise(world: SelectionWorld) -> None:
    found = signals(world)
    assert len({each for each in found.values() if each}) == sum(KINDS.values())
    copy = world.names[sum(KINDS.values())]
    assert found[copy] == world.names[world.copied[sum(KINDS.values())]]
