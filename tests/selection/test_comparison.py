"""Students with each rule's features, judged against impression importance alone."""

from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.fixtures.engines import PicklingEngine
from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.architectures import MlpArchitecture
from ukdsl_assets.declaration.selection import Selection
from ukdsl_assets.frames.splits import split
from ukdsl_assets.learning.metrics.calibration import normalized_entropy
from ukdsl_assets.selection.comparison import BASELINE, MEANINGS, compare_rules, compared


def test_changes_are_relative_to_impression_alone_and_have_errors() -> None:
    held = training_rows(80, seed=1).with_columns(truth=pl.col("target"))
    rng = np.random.default_rng(0)
    noise = rng.uniform(0.05, 0.5, len(held)).astype(np.float32)
    exact = np.clip(held["target"].to_numpy(), 0.01, 0.99)
    table = compared(
        held,
        {
            BASELINE: {"IMP": noise, "CD": noise},
            ("union", "equal"): {"IMP": exact, "CD": exact},
            ("consideration", "equal"): {"IMP": noise, "CD": noise},
        },
    )
    assert set(zip(table["domain"], table["reference"], strict=True)) == {
        ("IMP", "label"),
        ("CD", "teacher"),
        ("IMP", "truth"),
        ("CD", "truth"),
    }
    union = table.filter(rule="union", domain="CD", reference="teacher")
    shown = (held["domain"] == "CD").to_numpy()
    base = normalized_entropy(noise[shown], held["target"].to_numpy()[shown])
    assert union["ne_change"][0] == pytest.approx(
        normalized_entropy(exact[shown], held["target"].to_numpy()[shown]) / base - 1
    )
    assert union["ne_change"][0] < -5 * union["ne_change_error"][0] < 0
    same = table.filter(rule="consideration")
    assert same["ne_change"].abs().max() == 0
    assert same["ne_change_error"].max() == pytest.approx(0, abs=1e-12)


def test_each_choice_is_trained_once_and_better_features_are_better(tmp_path: Path) -> None:
    student = STUDENT.model_copy(
        update={
            "selection": Selection(budget=2, architecture=MlpArchitecture(kind="mlp", hidden=(16,))),
            "epochs": 5,
            "learning_rate": 0.01,
        }
    )
    good, bad = ("user_segment", "ad"), ("device", "format")
    choices = {("grouped_permutation", "equal"): good, ("union", "equal"): good, BASELINE: bad}
    told: list[str] = []
    held = list(split(training_rows(seed=1), 3))
    table = compare_rules(CASCADE, student, choices, training_rows(300), [each.clone for each in held], log=told.append)
    assert len(told) == 2
    assert table.columns == list(MEANINGS)
    better = table.filter(rule="grouped_permutation")
    assert (better["ne_change"] < -3 * better["ne_change_error"]).all()
    assert better["selected"].all()
    assert not table.filter(rule="impression")["selected"].any()
    assert table.filter(rule="union")["ne"].equals(better["ne"])
    assert table["features"].unique().to_list() == [2]
    # Where shards are read and scored by others too.
    for number, each in enumerate(held):
        each.write_parquet(tmp_path / f"{number}.parquet")
    readers = [partial(pl.read_parquet, tmp_path / f"{number}.parquet") for number in range(3)]
    engine = PicklingEngine()
    mapped = partial(engine.map, name="comparison")
    apart = compare_rules(CASCADE, student, choices, training_rows(300), readers, mapped=mapped)
    assert_frame_equal(apart, table, check_exact=True)
    assert engine.mapped == {"comparison": 3}
