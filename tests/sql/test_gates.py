from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.fixtures.logs import make_logs
from tests.fixtures.sql_models import HEADER, ORDER, model_of
from tests.fixtures.sql_tables import ADS, DAY, KEYS, SHOP, STUDENT, models_of, rendered, run_all, values
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.gates import GateResult
from ukdsl_assets.sql.gates import judge_model
from ukdsl_assets.sql.render import RenderedModel


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Considerations without a fault."""
    return run_all(tmp_path_factory.mktemp("good"), make_logs(ADS, DAY, 60))["considerations"]


def audit(folder: Path, *frames: pl.DataFrame, model: RenderedModel | None = None) -> tuple[GateResult, GateResult]:
    """Verdicts keys_unique and column_rules on the frames, one file each."""
    paths = [str(folder / f"audited-{part}.parquet") for part in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        frame.write_parquet(path)
    keys, rules = judge_model(model or rendered("considerations"), paths, values())
    assert (keys.name, rules.name) == ("keys_unique", "column_rules")
    return keys, rules


@pytest.mark.parametrize(("cascade", "student"), [(ADS, STUDENT), (SHOP, SHOP.students[0])], ids=["ads", "shop"])
def test_what_the_shipped_models_make_passes(tmp_path: Path, cascade: Cascade, student: Student) -> None:
    tables = run_all(tmp_path, make_logs(cascade, DAY, 40), cascade, student)
    for name, model in models_of(cascade, student).items():
        path = str(tmp_path / f"{name}.output.parquet")
        keys, rules = judge_model(model, [path], values(cascade, student))
        assert keys.passed, keys.message
        assert rules.passed, rules.message
        assert keys.seen == {"rows": tables[name].height, "repeated": 0}


def in_rows(column: str, value: Any, *rows: int) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Put a value into some rows."""
    at = pl.int_range(pl.len()).is_in(rows)
    return lambda frame: frame.with_columns(
        pl.when(at).then(pl.lit(value, frame.schema[column])).otherwise(column).alias(column)
    )


# Fault: column, value, rows, the rule that it breaks.
FAULTS = {
    "null": ("weight", None, (5, 6), "weight: not null"),
    "null identifier": ("candidate_id", None, (5,), "candidate_id: not null"),
    "NaN": ("bid", float("nan"), (0,), "bid: a finite number"),
    "infinite": ("bid", float("inf"), (1, 2), "bid: a finite number"),
    "NaN in a vector": ("user_profile", [1.0, float("nan"), 0.0, 0.0], (7,), "user_profile: finite numbers"),
    "below": ("bid", -0.5, (2, 3, 4), "bid: at least 0"),
    "above": ("retrieval_click_prediction", 1.5, (9,), "retrieval_click_prediction: at most 1"),
    "not one of": ("deepest_stage", "oracle", (8,), "deepest_stage: one of retrieval, pre_ranking, ranking"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_rule_is_counted_and_told_with_an_example(tmp_path: Path, good: pl.DataFrame, fault: str) -> None:
    column, value, at, rule = FAULTS[fault]
    bad = in_rows(column, value, *at)(good)
    keys, rules = audit(tmp_path, bad)
    assert keys.passed
    assert rules.blocks
    assert rules.seen[rule] == len(at)
    assert f"{rule} broken by {len(at)} rows, e.g. [{bad.select(KEYS).row(at[0])}" in rules.message
    if fault != "NaN":  # which is also above every bound
        assert set(rules.seen) == {"rules", rule}


def test_several_faults_are_told_apart(tmp_path: Path, good: pl.DataFrame) -> None:
    keys, rules = audit(tmp_path, good.vstack(good[-1:]).pipe(in_rows("bid", -1, 0)).pipe(in_rows("weight", 0.5, 1, 2)))
    assert (keys.blocks, keys.seen["repeated"]) == (True, 1)
    assert {rule: count for rule, count in rules.seen.items() if rule != "rules"} == {
        "bid: at least 0": 1,
        "weight: at least 1": 2,
    }


def test_a_repeated_key_is_counted_and_told_also_across_files(tmp_path: Path, good: pl.DataFrame) -> None:
    keys, rules = audit(tmp_path, pl.concat([good[:4], good[3:10], good[9:10]]), good[9:])
    assert rules.passed
    assert keys.blocks
    assert keys.seen == {"rows": good.height + 3, "repeated": 3}
    assert f"3 of {good.height + 3} rows repeat a key" in keys.message
    assert str(good.select(KEYS).row(3)) in keys.message


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda frame: frame.drop("bid"), "column `bid` is declared but not there"),
        (lambda frame: frame.with_columns(extra=1), "column `extra` is there but not declared"),
        (lambda frame: frame.cast({"weight": pl.Float64}), "column `weight` is Float64, declared as FLOAT"),
        (lambda frame: frame.cast({"request_id": pl.String}), "column `request_id` is String, declared as BIGINT"),
        (
            lambda frame: frame.with_columns(pl.col("requested_at").dt.replace_time_zone(None)),
            "column `requested_at` is Datetime",
        ),
    ],
    ids=["missing", "undeclared", "float", "identifier", "time without a zone"],
)
def test_wrong_columns_fail_both_gates(
    tmp_path: Path, good: pl.DataFrame, spoil: Callable[[pl.DataFrame], pl.DataFrame], said: str
) -> None:
    for result in audit(tmp_path, spoil(good)):
        assert result.blocks
        assert f"considerations: {said}" in result.message
        assert result.message.endswith("correct the query or the header in considerations.sql")


def test_an_empty_partition_breaks_no_rule(tmp_path: Path, good: pl.DataFrame) -> None:
    assert [result.passed for result in audit(tmp_path, good.clear())] == [True, True]


def test_a_null_key_in_the_first_row_repeats_nothing(tmp_path: Path) -> None:
    model = model_of(tmp_path, f"SELECT request_id FROM t{ORDER}")
    keys, _ = audit(tmp_path, pl.DataFrame({"request_id": [None, 1]}), model=model)
    assert keys.passed
    keys, _ = audit(
        tmp_path, pl.DataFrame({"request_id": [None, None, 1]}, schema={"request_id": pl.Int64}), model=model
    )
    assert keys.seen["repeated"] == 1


def test_allowed_numbers_are_compared_in_the_columns_own_type(tmp_path: Path) -> None:
    columns = "--   count: {description: x, type: BIGINT, one_of: [0, 1]}\n"
    columns += "--   share: {description: x, type: FLOAT, one_of: [0.1, 0.3], between: [0.1, 0.3]}\n"
    model = model_of(tmp_path, f"SELECT request_id, count, share FROM t{ORDER}", HEADER + columns)
    frame = pl.DataFrame({"request_id": [1, 2], "count": [0, 1], "share": [0.1, 0.3]}).cast({"share": pl.Float32})
    _, rules = audit(tmp_path, frame, model=model)
    assert rules.passed, rules.message
    _, rules = audit(
        tmp_path, frame.with_columns(count=pl.lit(2, pl.Int64), share=pl.lit(0.2, pl.Float32)), model=model
    )
    assert list(rules.seen.values())[1:] == [2, 2]
