from pathlib import Path

import polars as pl
import pytest

from tests.sources.logs import make_logs
from tests.sql.tables import ADS, DAY, MODELS, STUDENT, rendered, run, values, written
from ukdsl_assets.errors import SqlModelError
from ukdsl_assets.lake.sharding import split
from ukdsl_assets.sql.audit import audit_model
from ukdsl_assets.sql.run import run_model, run_sharded


@pytest.mark.parametrize("model", ["impressions", "considerations"])
def test_bytes_do_not_depend_on_the_threads(tmp_path: Path, model: str) -> None:
    files = written(tmp_path, make_logs(ADS, DAY, 400, candidates=300)._asdict())
    output = tmp_path / f"{model}.output.parquet"
    run(tmp_path, model, dict(files), threads=1)
    once = output.read_bytes()
    run(tmp_path, model, dict(files), threads=2)
    assert output.read_bytes() == once


def test_sharded_rows_are_the_unsharded_rows(tmp_path: Path) -> None:
    logs = make_logs(ADS, DAY, 80)
    whole, sharded = written(tmp_path, logs._asdict()), {}
    for table, frame in logs._asdict().items():
        sharded[table] = [str(tmp_path / f"{table}-{part}.parquet") for part in range(3)]
        for path, part in zip(sharded[table], split(frame, 3), strict=True):
            part.write_parquet(path)
    steps = [(n, {}) for n in ("impressions", "considerations", "stage_calibration")]
    steps += [
        ("logged_teacher_labels", {"teacher": ADS.teacher(STUDENT.teacher)}),
        ("teacher_augmented", {"student": STUDENT}),
    ]
    for name, of in steps:
        expected = run(tmp_path, name, whole, **of)
        model = rendered(name, **of)
        inputs = {table: sharded[table] for table in model.depends_on}
        new_file = lambda shard, shards, name=name: str(tmp_path / f"{name}-{shard}-of-{shards}.parquet")  # noqa: E731
        made = run_sharded(model, inputs, values(**of), new_file, 1)
        assert len(made) == (3 if model.model.shard_key else 1)
        sharded[MODELS[name].table] = made
        keys = list(model.model.keys)
        rows = pl.concat([pl.read_parquet(path) for path in made]).sort(keys)
        assert expected.height > 0
        pl.testing.assert_frame_equal(rows, expected, rel_tol=1e-12)


def test_unequal_numbers_of_shards_run_once_for_all(tmp_path: Path) -> None:
    logs = make_logs(ADS, DAY, 20)
    files = written(tmp_path, logs._asdict())
    expected = run(tmp_path, "impressions", dict(files))
    halves = [str(tmp_path / f"half-{part}.parquet") for part in range(2)]
    for path, part in zip(halves, split(logs.candidate_log, 2), strict=True):
        part.write_parquet(path)
    inputs = {**files, "candidate_log": halves}
    made = run_sharded(rendered("impressions"), inputs, values(), lambda *_: str(tmp_path / "one.parquet"), 1)
    assert pl.read_parquet(made).equals(expected)


def test_a_failing_query_names_the_model_its_file_and_what_it_read(tmp_path: Path) -> None:
    logs = make_logs(ADS, DAY, 5)
    files = written(tmp_path, {**logs._asdict(), "candidate_log": logs.candidate_log.drop("bid")})
    with pytest.raises(SqlModelError, match=r"(?s)impressions\.sql.*`impressions`.*candidate_log\.parquet.*bid"):
        run(tmp_path, "impressions", files)


def test_missing_inputs_and_parameters_are_named(tmp_path: Path) -> None:
    files = written(tmp_path, make_logs(ADS, DAY, 5)._asdict())
    model, output = rendered("impressions"), str(tmp_path / "x.parquet")
    with pytest.raises(SqlModelError, match="reads `event_log`"):
        run_model(model, {**files, "event_log": []}, values(), output, 1)
    bound = {name: value for name, value in values().items() if name != "window_click"}
    with pytest.raises(SqlModelError, match=r"\$window_click"):
        run_model(model, files, bound, output, 1)


def test_the_audit_counts_planted_faults_exactly_and_names_their_keys(tmp_path: Path) -> None:
    good = run(tmp_path, "considerations", written(tmp_path, make_logs(ADS, DAY, 60)._asdict()))
    model, path = rendered("considerations"), str(tmp_path / "audited.parquet")
    good.write_parquet(path)
    assert [result.passed for result in audit_model(model, [path], values())] == [True, True]

    bad = pl.concat([good[:1], good]).with_row_index("at").with_columns(
        pl.when(pl.col("at").is_in([5, 6])).then(None).otherwise(pl.col("weight")).alias("weight"),
        pl.when(pl.col("at") == 7).then(pl.lit(-1.0)).otherwise(pl.col("bid")).cast(pl.Float32).alias("bid"),
        pl.when(pl.col("at") == 8).then(pl.lit("nowhere")).otherwise(pl.col("deepest_stage")).alias("deepest_stage"),
    )  # fmt: skip
    bad.drop("at").write_parquet(path)
    keys, rules = audit_model(model, [path], values())
    assert (keys.name, keys.passed, keys.seen["repeated"]) == ("keys_unique", False, 1)
    assert rules.name == "column_rules"
    assert not rules.passed
    broken = {name: count for name, count in rules.seen.items() if name != "rules"}
    assert {name.split(":")[0]: count for name, count in broken.items()} == {"weight": 2, "bid": 1, "deepest_stage": 1}
    assert str(bad.row(7, named=True)["candidate_id"]) in rules.message


def test_the_audit_tells_a_missing_and_a_wrongly_typed_column(tmp_path: Path) -> None:
    good = run(tmp_path, "considerations", written(tmp_path, make_logs(ADS, DAY, 10)._asdict()))
    path = str(tmp_path / "audited.parquet")
    good.drop("bid").with_columns(pl.col("weight").cast(pl.Float64)).write_parquet(path)
    results = audit_model(rendered("considerations"), [path], values())
    assert not any(result.passed for result in results)
    assert "`bid`" in results[1].message
    assert "`weight` is Float64" in results[1].message
