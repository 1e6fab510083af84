"""The studies of feature selection on small data: their tables are whole, and their rows are what they say."""

from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import training_rows
from ukdsl_assets.evidence.studies import table2
from ukdsl_assets.evidence.studies.table2 import COSTS
from ukdsl_assets.evidence.studies.table2 import STUDY as SYNTHETIC
from ukdsl_assets.evidence.studies.table2_kuairand import augmented, impressions
from ukdsl_assets.evidence.studies.table2_kuairand import declared as kuairand
from ukdsl_assets.evidence.studies.table2_simulated import COPY_CORRELATION, enriched, extra_features, with_candidates
from ukdsl_assets.evidence.studies.table2_simulated import STUDY as SIMULATED
from ukdsl_assets.evidence.worlds.selection_rules import PLACES, kinds_chosen
from ukdsl_assets.evidence.worlds.simulated_days import declared
from ukdsl_assets.logs.contract import DayOfLogs
from ukdsl_assets.selection.choice import RULE_SIZES

pytestmark = pytest.mark.slow
KEYS = {"request_id": [1, 1, 2], "candidate_id": [7, 8, 7]}


def test_every_rule_is_measured_by_number_and_by_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table2, "REGIMES", {"base": table2.REGIMES["base"]})
    small = {"requests": 40, "teacher_requests": 60, "importance_rows": 120, "held_rows": 120, "seed": 100}
    told: list[tuple[int, int]] = []
    rows = SYNTHETIC.measure({**SYNTHETIC.defaults, **small}, tmp_path, lambda *each: told.append(each))
    assert told == [(1, 1)]
    data = {"base", COSTS}
    for table in ("rules", "union", "signals"):
        assert {row["data"] for row in rows[table]} == data
        assert {(row["rule"], row["size"]) for row in rows[table]} == set(RULE_SIZES)
    base = {f"{domain}, {reference}": 0.0 for domain, reference in PLACES}
    for table, rule in (("rules", "impression"), ("union", "union")):
        same = [row for row in rows[table] if row["rule"] == rule and row["size"] == "equal"]
        assert all({name: row[name] for name in base} == base for row in same)
    equal = [row for row in rows["rules"] if row["size"] == "equal" and row["data"] != COSTS]
    assert {row["features"] for row in equal} == {24.0}


def test_repeats_of_a_signal_and_noise_are_counted() -> None:
    signal = {"a": "a", "a2": "a", "b": "b", "n": None}
    (row,) = kinds_chosen("world", {("union", "equal"): ("a", "a2", "n", "b")}, signal)
    assert (row["signals"], row["repeats"], row["noise"]) == (2, 1, 1)


def test_counters_are_of_the_days_before_alone_and_copies_are_noisy() -> None:
    rows = training_rows(400)
    before = [training_rows(100, seed=seed).filter(domain="IMP") for seed in (1, 2)]
    found = enriched(rows, before, (0, 0))
    assert set(found.columns) == {*rows.columns, *extra_features()}
    assert len(extra_features()) == 51
    history = pl.concat(before)
    mean, ad = history["target"].mean(), rows["ad"][0]
    mine = history.filter(ad=ad)
    expected = (mine["target"].sum() + 50 * mean) / (len(mine) + 50)  # type: ignore[operator]
    assert found["ad_rate"][0] == pytest.approx(expected, rel=1e-5)
    assert found["ad_impressions"][0] == pytest.approx(np.log1p(len(mine)), rel=1e-5)
    assert found["profile_2"][0] == pytest.approx(rows["user_profile"][0][2])
    assert np.corrcoef(found["ad_rate"], found["ad_rate_copy"])[0, 1] == pytest.approx(COPY_CORRELATION, abs=0.01)
    same = found.group_by("request_id").agg(pl.col("profile_0_copy").n_unique())["profile_0_copy"]
    assert same.unique().to_list() == [1]
    cascade, student = with_candidates(*declared(), {**SIMULATED.defaults, "seed": 1})
    assert len(cascade.candidates_of(student)) == 62


def test_kuairands_rows_are_labelled_where_shown_and_taught_everywhere() -> None:
    cascade, student = kuairand({"seed": 3, "epochs": 1, "budget": 12, "importance_rows": 500})
    assert cascade.source.seed == 3  # type: ignore[union-attr]
    log = pl.DataFrame({**KEYS, "shown": [True, False, True], "tab": [1, 1, 2]})
    moment = datetime(2022, 4, 25)
    events = pl.DataFrame(
        {"request_id": [1, 2], "candidate_id": [7, 7], "event": ["click", "impression"], "occurred_at": [moment] * 2}
    )
    shown = impressions(cascade, DayOfLogs(log, events))
    assert shown["is_click"].to_list() == [1, 0]
    taught = pl.DataFrame({**KEYS, "target": pl.Series([0.3, 0.2, 0.1], dtype=pl.Float32)})
    rows = augmented(student, shown, log, taught)
    assert rows["domain"].to_list() == ["CD", "IMP", "CD", "CD", "IMP"]
    assert rows["target"].to_list() == pytest.approx([0.3, 1, 0.2, 0.1, 0])
    assert date(2022, 4, 25) + timedelta(days=5) <= cascade.last_day  # type: ignore[operator]
