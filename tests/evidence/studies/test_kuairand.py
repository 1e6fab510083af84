"""The study on KuaiRand-Pure, on made-up rows of its cascade: the known total, copies of requests, its tables."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.fixtures.logs import make_logs
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.errors import SourceError
from ukdsl_assets.evidence.studies.kuairand import STUDY, declared, drawn, measure, surveyed, with_total
from ukdsl_assets.evidence.summary import result_of
from ukdsl_assets.evidence.units import Unit, settings_of
from ukdsl_assets.evidence.worlds.cross_domain_rows import COPIES, labelled_candidates
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.learning.metrics.logits import logit
from ukdsl_assets.settings import Settings

SETTINGS: dict[str, Any] = settings_of(STUDY, 3, {"judged": 1})


def candidates(cascade: Cascade, days: int) -> pl.DataFrame:
    parts = []
    for at in range(days):
        day = cascade.first_day + timedelta(days=at)
        logs = make_logs(cascade, day, 60)
        parts.append(labelled_candidates(cascade, logs.candidate_log, logs.event_log).with_columns(day=pl.lit(day)))
    rows = pl.concat(parts).with_columns(tab=pl.lit(1, pl.Int64), user_id=pl.col("request_id") % 25)
    return rows.with_columns(withheld=withheld(rows["request_id"], cascade.withheld_share))


def test_the_known_total_shifts_the_teachers_logits_alone_and_reaches_the_mean() -> None:
    rows = pl.DataFrame(
        {
            "domain": [IMP, CD, CD, CD, CD, CD],
            "shown": [True, True, False, False, False, False],
            "withheld": [False, False, False, False, True, False],
            "tab": [1, 1, 1, 1, 1, 2],
            "target": pl.Series([1.0, 0.6, 0.5, 0.3, 0.9, 0.2], dtype=pl.Float32),
        }
    )
    moved = with_total(rows, 0.2, tab=1)
    assert moved["target"][2:4].mean() == pytest.approx(0.2, abs=1e-6)
    assert moved["target"][0] == 1
    shifts = logit(moved["target"].to_numpy()[1:]) - logit(rows["target"].to_numpy()[1:])
    assert shifts == pytest.approx(np.full(5, shifts[0]), abs=1e-5)
    assert shifts[0] < 0


def test_copies_of_a_request_are_withheld_together() -> None:
    copies = drawn(candidates(declared(SETTINGS), 1), 1)
    of_release = copies.group_by(pl.col("request_id") // COPIES).agg(pl.col("withheld").n_unique())
    assert of_release["withheld"].unique().to_list() == [1]
    assert copies["request_id"].n_unique() > len(of_release)


def test_seed_0_takes_every_user_once() -> None:
    rows = candidates(declared(SETTINGS), 1)
    once = drawn(rows, 0)
    assert once.drop("request_id").equals(rows.drop("request_id"))
    assert (once["request_id"] // COPIES).equals(rows["request_id"])


def test_without_the_data_the_message_names_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UKDSL_KUAIRAND", str(tmp_path / "absent"))
    assert Settings().kuairand == tmp_path / "absent"
    with pytest.raises(SourceError, match="set UKDSL_KUAIRAND"):
        measure(SETTINGS, tmp_path, lambda *_: None)


@pytest.mark.slow
def test_every_arm_is_judged_against_the_teacher_that_taught_it() -> None:
    cascade = declared(SETTINGS)
    small = cascade.teachers[0].model_copy(update={"trees": 5, "minimum_leaf_rows": 5})
    cascade = cascade.model_copy(update={"teachers": (small,)})
    steps: list[tuple[int, int]] = []
    tables = surveyed(cascade, drawn(candidates(cascade, 2), 1), SETTINGS, lambda *step: steps.append(step))
    assert steps == [(1, 2), (2, 2)]
    lines = {(row["task"], row["teacher"], row["arm"], row["domain"]): row for row in tables["figures"]}
    arms = [
        ("is_click", "as trained", "baseline"),
        ("is_click", "as trained", "distilled"),
        ("is_click", "known total", "baseline"),
        ("is_click", "known total", "distilled, known total"),
        ("long_view", "as trained", "baseline"),
        ("long_view", "as trained", "distilled"),
    ]
    assert set(lines) == {(*arm, domain) for arm in arms for domain in (IMP, CD)}
    for key, row in lines.items():
        base = lines[(*key[:2], "baseline", key[3])]
        assert row["rows"] == base["rows"]
        assert row["ne_change"] == pytest.approx(row["ne"] / base["ne"] - 1)
    # The teacher alone differs between them, and no label depends on it.
    clicks = [lines["is_click", teacher, "baseline", IMP]["ne"] for teacher in ("as trained", "known total")]
    assert clicks[0] == pytest.approx(clicks[1])

    pairs = {row["of"]: row for row in tables["random_pairs"] if row["pairs"] == "tab 1"}
    assert list(pairs) == ["teacher, as trained", "teacher, known total", *sorted({arm[2] for arm in arms})]
    assert pairs["teacher, known total"]["ratio"] == pytest.approx(1, abs=0.1)
    assert pairs["teacher, as trained"]["mean"] > 1.5 * pairs["teacher, known total"]["mean"]
    for row in pairs.values():
        assert row["ratio"] == pytest.approx(row["mean"] / SETTINGS["rate"])
    result = result_of(STUDY, [Unit(SETTINGS, tables, 1, 1)], "ukdsl evidence kuairand")
    assert len(result["aims"]) == len(STUDY.aims)
    assert "published total" in result["data"]
