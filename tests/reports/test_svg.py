"""Scales place what they hold inside of their frame, with a few round numbers, whatever the data are."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ukdsl_assets.reports.svg import Scale, around, label, picture, plain, short

VALUES = st.lists(st.floats(1e-9, 1e9), max_size=6)


@given(VALUES, st.booleans())
def test_an_axis_holds_every_value_and_has_few_ticks_inside_of_it(values: list[float], ratio: bool) -> None:
    low, high = around(values, (1.0,), ratio)
    scale = Scale(low, high, 0, 100, ratio)
    assert all(0 < scale(each) < 100 for each in [*values, 1.0])
    ticks = scale.ticks()
    assert ticks == sorted(set(ticks))
    assert all(low <= each <= high for each in ticks)
    assert len(ticks) <= 8


@given(st.floats(0.01, 100), st.floats(1.001, 1000))
def test_an_axis_of_ratios_that_is_wide_enough_to_read_has_two_ticks(low: float, times: float) -> None:
    assert len(Scale(low, low * times, 0, 1, True).ticks()) >= 2


def test_equal_ratios_are_equally_far_on_a_ratio_scale_and_equal_differences_on_the_other() -> None:
    ratio, plain_scale = Scale(0.25, 4, 0, 100, True), Scale(-1, 3, 100, 0)
    assert [ratio(each) for each in (0.5, 1, 2)] == pytest.approx([25, 50, 75])
    assert [plain_scale(each) for each in (0, 1, 2)] == pytest.approx([75, 50, 25])
    assert (ratio.cut(1e-6), ratio.cut(1e6)) == pytest.approx((0, 100))


def test_values_that_are_none_do_not_stretch_an_axis() -> None:
    undefined = [float("nan"), float("inf")]
    assert around(undefined, (1.0,)) == around([], (1.0,))
    assert around([-3.0, 0.0], (1.0,), ratio=True) == around([], (1.0,), ratio=True)


def test_texts_of_users_cannot_become_elements() -> None:
    drawn = picture(10, [label(0, 5, '<b>"&')], 'a "<picture>')
    (text,) = ElementTree.fromstring(drawn).iter("text")
    assert text.text == '<b>"&'
    assert ElementTree.fromstring(drawn).get("aria-label") == 'a "<picture>'


def test_numbers_and_names_are_written_for_people() -> None:
    assert [plain(each) for each in (0.02, 1.5, 20_000, -3.0)] == ["0.02", "1.5", "20,000", "\u22123"]
    assert short("two\nlines") == "two lines"
    assert short("x" * 30, 5) == "xxxx…"
