"""What people write freely reaches Dagster, whose tags know few characters."""

from pathlib import Path

import pytest

from tests.fixtures.shop import declare
from ukdsl_assets.defs.graph.keys import spec


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
