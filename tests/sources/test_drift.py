"""Volume and label rate are held against the median of the days before."""

from math import nan

import pytest

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.sources.drift import label_rate, volume


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
    ("today", "trailing", "passed"),
    [
        (0.1, [0.1, 0.12], True),
        (0.04, [0.1], False),
        (0.0, [0.1], False),
        (0.0, [0.0, 0.0], True),
        (0.1, [0.0], False),
        (0.1, [], True),
        (0.1, [nan, 0.1], True),
        (None, [0.1], False),
        (nan, [], False),
    ],
)
def test_label_rate_is_bounded_by_the_median(
    ads: Cascade, today: float | None, trailing: list[float], passed: bool
) -> None:
    result = label_rate(ads, "click", today, trailing)
    assert result.name == "click_label_rate_near_trailing_median"
    assert result.passed is passed


def test_the_message_tells_seen_expected_and_fix(ads: Cascade) -> None:
    message = volume(ads, 10, [100, 120, 80]).message
    for part in ("simulated_ads", "rows 10", "0.1", "median 100", "3 earlier", "0.5 to 2", "gates"):
        assert part in message
    assert "no earlier day" in volume(ads, 10, []).message
