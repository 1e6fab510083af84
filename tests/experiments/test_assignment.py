"""Arms by hash: stable, in the declared shares, independent between experiments, alike for one visitor and for many."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from ukdsl_assets.errors import ExperimentError
from ukdsl_assets.experiments.assignment import Experiment

VISITORS = pl.Series("visitor", np.arange(40_000))
FIRST_EIGHT = ["students", "students", "students", "static", "students", "students", "students", "static"]
SHARES = {"static": 0.2, "students": 0.5, "teacher": 0.3}


def test_arms_are_these_for_ever() -> None:
    experiment = Experiment("item_page_1", {"static": 0.5, "students": 0.5})
    assert [experiment.arm_of(visitor) for visitor in range(8)] == FIRST_EIGHT
    assert experiment.arms_of(pl.Series(["3", "3", "é"])).to_list() == [FIRST_EIGHT[3], FIRST_EIGHT[3], "static"]


@given(st.lists(st.integers(-(2**62), 2**62) | st.text(min_size=1, max_size=8), max_size=20), st.integers(1, 99))
@settings(max_examples=20, deadline=None)
def test_one_visitor_and_many_have_the_same_arm(visitors: list[int | str], percent: int) -> None:
    experiment = Experiment("any", {"a": percent / 100, "b": 1 - percent / 100})
    arms = experiment.arms_of(pl.Series("visitor", [str(each) for each in visitors], dtype=pl.String))
    assert arms.to_list() == [experiment.arm_of(each) for each in visitors]
    numbers = [each for each in visitors if isinstance(each, int)]
    of_numbers = experiment.arms_of(pl.Series("visitor", numbers, dtype=pl.Int64))
    assert of_numbers.to_list() == [experiment.arm_of(str(each)) for each in numbers]


def test_arms_have_their_shares() -> None:
    counted = dict(Experiment("shares", SHARES).arms_of(VISITORS).value_counts().iter_rows())
    expected = [share * len(VISITORS) for share in SHARES.values()]
    assert chisquare([counted[arm] for arm in SHARES], expected).pvalue > 1e-4


def test_arms_of_two_experiments_are_independent_and_those_of_one_name_the_same() -> None:
    first, second = (Experiment(name, SHARES).arms_of(VISITORS) for name in ("one", "two"))
    table = pl.DataFrame({"first": first, "second": second}).group_by("first", "second").len().sort("first", "second")
    assert chi2_contingency(table["len"].to_numpy().reshape(3, 3)).pvalue > 1e-4
    assert first.equals(Experiment("one", SHARES).arms_of(VISITORS))


def test_a_larger_share_keeps_who_was_in_the_first_arm() -> None:
    small, large = (
        Experiment("ramp", {"new": share, "old": 1 - share}).arms_of(VISITORS) == "new" for share in (0.1, 0.4)
    )
    assert (large | ~small).all()
    assert large.sum() > small.sum()


@pytest.mark.parametrize(
    ("name", "shares", "told"),
    [
        (" ", {"a": 0.5, "b": 0.5}, "its name is empty"),
        ("x", {"a": 1.0}, "at least two arms"),
        ("x", {}, "saw none"),
        ("x", {"a": 0.5, "b": 0.6}, "of sum 1.1"),
        ("x", {"a": 1.0, "b": 0.0}, "above 0"),
        ("x", {"a": float("nan"), "b": 0.5}, "above 0"),
        ("x", {"a": 1.5, "b": -0.5}, "above 0"),
        ("x", {"": 0.5, "b": 0.5}, "at least two arms"),
    ],
)
def test_what_is_no_experiment_is_refused(name: str, shares: dict[str, float], told: str) -> None:
    with pytest.raises(ExperimentError, match=told):
        Experiment(name, shares)


def test_a_visitor_that_is_missing_is_in_no_arm() -> None:
    experiment = Experiment("x", {"a": 0.5, "b": 0.5})
    for alone in (lambda: experiment.arm_of(""), lambda: experiment.arms_of(pl.Series("user", ["7", ""]))):
        with pytest.raises(ExperimentError, match=r"id is empty|1 of 2 rows have no visitor"):
            alone()
    with pytest.raises(ExperimentError, match="1 of 2 rows have no visitor in column `user`"):
        Experiment("x", {"a": 0.5, "b": 0.5}).arms_of(pl.Series("user", [1, None]))
