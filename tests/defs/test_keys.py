"""What people write freely reaches Dagster, whose tags know few characters."""

from pathlib import Path

import pytest

from tests.fixtures.shop import declare
from ukdsl_assets.defs.graph.keys import SHORT, asset_key, spec


@pytest.mark.parametrize(
    ("note", "tag"),
    [
        ("semi-real", "semi-real"),
        ("our own logs", "our_own_logs"),
        ("50 % of (all) [/b] logs: ünï", "50_of_all_b_logs_n"),
        ("日本", None),
        ("x" * 200, "x" * 63),
        ("", None),
    ],
)
def test_a_note_may_be_any_text(tmp_path: Path, note: str, tag: str | None) -> None:
    declared = spec(declare(tmp_path, note=note), ("shop", "impressions"), "2_tables", "Rows.")
    assert declared.tags.get("data") == tag
    assert note in (declared.description or "")


@pytest.mark.parametrize(
    ("table", "key"),
    [
        (("shop", "impressions"), "shop/impressions"),
        (("shop", "click", "baseline_checkpoint"), "shop/click_baseline"),
        (("shop", "ranker", "teacher_labels"), "shop/ranker_labels"),
        (("shop", "click", "a_table_of_ones_own"), "shop/click_a_table_of_ones_own"),
        (("theory", "two_stage_calibration"), "theory/two_stage_calibration"),
    ],
)
def test_the_last_part_of_a_key_tells_whose_it_is(table: tuple[str, ...], key: str) -> None:
    assert asset_key(table).to_user_string() == key


def test_no_ending_ends_with_another_so_that_no_two_tables_have_one_name() -> None:
    # The others have the name of their table.
    others = {"calibration_by_group", "release", "feature_union", "selection_comparison"}
    endings = {*SHORT.values(), *others, "impression_importance", "consideration_importance"}
    assert len(set(SHORT.values())) == len(SHORT)
    assert not [(one, other) for one in endings for other in endings if one.endswith(f"_{other}")]
