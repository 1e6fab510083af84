"""The picture for the UI is small, the same bytes every time, and survives what data can be."""

from tests.fixtures.evaluated import evaluation, groups
from ukdsl_assets.reports.plots import overview_png


def test_the_picture_for_the_ui_is_a_small_png_also_of_many_students_and_without_groups() -> None:
    drawn = {f"student_{number}": (evaluation(), groups() if number else None) for number in range(6)}
    picture = overview_png(drawn)
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 60_000 * 3 // 4
    assert picture == overview_png(drawn)
