"""Volume and label rate are held against the median of the days before."""

import pytest

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.logs.gates.drift import label_rate, volume


@pytest.mark.parametrize(
    ("today", "trailing", "passed"),
    [
        (100, [100, 90, 110], True),
        (50, [100], True),
        (49, [100], False),
        (200, [100], True),
        (201, [100], False),
        (100, [], True),
        (0, [], False),
        (0, [100], False),
        (100, [1, 100, 10_000], True),
    ],
)
def test_volume_is_bounded_by_the_median(ads: Cascade, today: int, trailing: list[int], passed: bool) -> None:
    result = volume(ads, today, trailing)
    assert result.name == "volume_near_trailing_median"
    assert result.passed is passed
    assert result.blocks is not passed


@pytest.mark.parametrize(
    ("positive", "labelled", "trailing", "passed"),
    [
        (1000, 10_000, [0.1, 0.12], True),
        (400, 10_000, [0.1], False),
        (0, 10_000, [0.1], False),
        (0, 10_000, [0.0, 0.0], True),
        (1000, 10_000, [0.0], False),
        (1000, 10_000, [], True),
        (1000, 10_000, [None, 0.1], True),
        (0, 0, [0.1], False),
        # Three times the median, but of seven positives: chance.
        (7, 84, [0.027], True),
        (700, 8400, [0.027], False),
        (1, 100, [0.04], True),
    ],
)
def test_label_rate_is_bounded_by_the_median_at_two_standard_errors(
    ads: Cascade, positive: int, labelled: int, trailing: list[float | None], passed: bool
) -> None:
    result = label_rate(ads, "click", positive, labelled, trailing)
    assert result.name == "click_label_rate_near_trailing_median"
    assert result.passed is passed


def test_a_conditional_task_may_have_no_labels_on_a_day(ads: Cascade) -> None:
    assert label_rate(ads, "conversion", 0, 0, [0.1]).passed


def test_a_label_rate_that_is_off_tells_seen_expected_and_fix(ads: Cascade) -> None:
    message = label_rate(ads, "click", 400, 10_000, [0.1, 0.1, 0.1]).message
    for part in ("simulated_ads", "0.04 (400 of 10,000)", "median 0.1 of 3", "500 to 2,000", "gates"):
        assert part in message


def test_the_message_tells_seen_expected_and_fix(ads: Cascade) -> None:
    message = volume(ads, 10, [100, 120, 80]).message
    for part in ("simulated_ads", "rows 10", "0.1", "median 100", "3 earlier", "0.5 to 2", "gates"):
        assert part in message
    assert "no earlier day" in volume(ads, 10, []).message
