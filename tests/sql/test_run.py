from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.fixtures.logs import make_logs
from tests.fixtures.sql_models import ORDER, model_of
from tests.fixtures.sql_tables import ADS, DAY, SHOP, STUDENT, models_of, rendered, run, values, written
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.errors import SqlModelError
from ukdsl_assets.frames.splits import split
from ukdsl_assets.sql.run import database, read_through_fsspec, run_model, run_sharded, schema_of_its_own


@pytest.mark.slow
def test_bytes_are_the_same_in_a_second_run_and_for_any_number_of_threads(tmp_path: Path) -> None:
    # Many row groups, so that threads share the work.
    files = written(tmp_path, make_logs(ADS, DAY, 200, candidates=300)._asdict(), row_group_size=3000)
    bound = values(ADS, STUDENT)
    for name, model in models_of(ADS, STUDENT).items():
        outputs = [tmp_path / f"{name}-{count}.parquet" for count in range(5)]
        for threads, output in zip((1, 1, 2, 2, 2), outputs, strict=True):
            run_model(model, files, bound, str(output), threads)
        assert {output.read_bytes() for output in outputs} == {outputs[0].read_bytes()}, name
        rows = pl.read_parquet(outputs[0])
        assert rows.height > 0
        assert rows.equals(rows.sort(model.model.keys)), name
        # As many row groups as make threads share the next models' work.
        files |= written(tmp_path, {model.model.table: rows}, row_group_size=3000)


@pytest.mark.parametrize(("cascade", "student"), [(ADS, STUDENT), (SHOP, SHOP.students[0])], ids=["ads", "shop"])
def test_shards_together_hold_the_rows_of_an_unsharded_run(tmp_path: Path, cascade: Cascade, student: Student) -> None:
    logs = make_logs(cascade, DAY, 80)._asdict()
    whole = written(tmp_path, logs)
    sharded = {table: shards_of(tmp_path, table, frame, 3) for table, frame in logs.items()}
    bound = values(cascade, student)
    for name, model in models_of(cascade, student).items():
        expected = str(tmp_path / f"{name}.parquet")
        run_model(model, whole, bound, expected, 1)
        inputs = {table: sharded[table] for table in model.depends_on}
        made = run_sharded(model, inputs, bound, new_file_in(tmp_path / name), 1)
        assert [Path(path).name for path in made] == (
            [f"{shard}-of-3" for shard in range(3)] if model.model.shard_key else ["0-of-1"]
        )
        parts = [pl.read_parquet(path) for path in made]
        assert all(part.height > 0 for part in parts)
        assert pl.concat(parts).sort(model.model.keys).equals(pl.read_parquet(expected)), name
        whole[model.model.table], sharded[model.model.table] = [expected], made


def test_unequal_numbers_of_shards_run_once_for_all(tmp_path: Path) -> None:
    logs = make_logs(ADS, DAY, 20)
    expected = run(tmp_path, "impressions", written(tmp_path, logs._asdict()))
    inputs = {
        "candidate_log": shards_of(tmp_path, "candidate_log", logs.candidate_log, 2),
        "event_log": shards_of(tmp_path, "event_log", logs.event_log, 3),
    }
    made = run_sharded(rendered("impressions"), inputs, values(), new_file_in(tmp_path / "one"), 1)
    assert len(made) == 1
    assert pl.read_parquet(made).equals(expected)


def test_values_are_bound_not_written_into_the_query(tmp_path: Path) -> None:
    """An event called like a piece of SQL is a value like any other."""
    name = "click' OR '1' = '1"
    task = ADS.task("click").model_copy(update={"event": name})
    cascade = ADS.model_copy(update={"tasks": (task, ADS.task("conversion"))})
    logs = make_logs(ADS, DAY, 30)
    renamed = logs.event_log.with_columns(event=pl.col("event").replace("click", name))
    labels = run(tmp_path, "impressions", written(tmp_path, logs._asdict()))
    files = written(tmp_path, {"candidate_log": logs.candidate_log, "event_log": renamed})
    assert run(tmp_path, "impressions", files, cascade).equals(labels)
    assert 0 < labels["click"].sum() < labels.height


def test_tables_and_files_may_be_called_like_pieces_of_sql(tmp_path: Path) -> None:
    folder = tmp_path / "it's $day; --"
    folder.mkdir()
    rows = pl.DataFrame({"request_id": [1, 2]})
    rows.write_parquet(folder / "rows.parquet")
    model = model_of(tmp_path, f'SELECT request_id FROM "order"{ORDER}\n')
    run_model(model, {"order": [str(folder / "rows.parquet")]}, {}, str(tmp_path / "made.parquet"), 1)
    assert pl.read_parquet(tmp_path / "made.parquet").equals(rows)


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    files = written(tmp_path, make_logs(ADS, DAY, 5)._asdict())
    for given in ({**files, "event_log": []}, {"candidate_log": files["candidate_log"]}):
        with pytest.raises(SqlModelError, match=r"impressions\.sql: `impressions` reads `event_log`, .*no file"):
            run_model(rendered("impressions"), given, values(), str(tmp_path / "x.parquet"), 1)


def test_an_unbound_parameter_is_named(tmp_path: Path) -> None:
    files = written(tmp_path, make_logs(ADS, DAY, 5)._asdict())
    bound = {name: value for name, value in values().items() if name != "window_click"}
    with pytest.raises(
        SqlModelError, match=r"impressions\.sql: `impressions` binds unknown \$window_click; .*window_c"
    ):
        run_model(rendered("impressions"), files, bound, str(tmp_path / "x.parquet"), 1)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "candidate_log"),
        (lambda path: path.write_bytes(path.read_bytes()[:4] + bytes(2000) + path.read_bytes()[2004:]), ""),
        (lambda path: path.write_text("not Parquet"), "candidate_log"),
        (lambda path: path.unlink(), "No files found"),
        (lambda path: pl.read_parquet(path).drop("bid").write_parquet(path), '"bid"'),
    ],
    ids=["truncated", "overwritten", "text", "absent", "without a column"],
)
def test_an_input_that_cannot_be_read_is_told_with_model_and_file(
    tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    files = written(tmp_path, make_logs(ADS, DAY, 60)._asdict())
    spoil(tmp_path / "candidate_log.parquet")
    told = rf"(?s)impressions\.sql: `impressions` failed on candidate_log: .*candidate_log\.parquet.*: .*{said}"
    with pytest.raises(SqlModelError, match=told):
        run(tmp_path, "impressions", files)


def shards_of(folder: Path, table: str, frame: pl.DataFrame, shards: int) -> list[str]:
    """One file a shard."""
    paths = [str(folder / f"{table}-{shard}.parquet") for shard in range(shards)]
    for path, part in zip(paths, split(frame, shards), strict=True):
        part.write_parquet(path)
    return paths


def new_file_in(folder: Path) -> Callable[[int, int], str]:
    """Names files after their shard."""
    folder.mkdir()
    return lambda shard, shards: str(folder / f"{shard}-of-{shards}")


def test_a_shard_that_cannot_be_made_leaves_no_file_of_those_before_it(tmp_path: Path) -> None:
    inputs = {table: shards_of(tmp_path, table, frame, 2) for table, frame in make_logs(ADS, DAY, 20)._asdict().items()}
    Path(inputs["event_log"][1]).write_bytes(b"cut off")
    with pytest.raises(SqlModelError):
        run_sharded(rendered("impressions"), inputs, values(), new_file_in(tmp_path / "made"), 1)
    assert not list((tmp_path / "made").iterdir())


def test_runs_at_once_read_each_its_own_files(tmp_path: Path) -> None:
    model, alone, beside = rendered("considerations"), [], []
    folders = [tmp_path / str(requests) for requests in (10, 20, 30, 40)]
    inputs = []
    for folder in folders:
        folder.mkdir()
        inputs.append(written(folder, {"candidate_log": make_logs(ADS, DAY, int(folder.name)).candidate_log}))
        run_model(model, inputs[-1], values(), str(folder / "alone.parquet"), 2)
        alone.append((folder / "alone.parquet").read_bytes())
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            outputs = [str(folder / "beside.parquet") for folder in folders]
            list(pool.map(lambda files, path: run_model(model, files, values(), path, 2), inputs, outputs))
            beside.append([Path(path).read_bytes() for path in outputs])
    assert len(set(alone)) == 4
    assert beside == [alone] * 5


def test_a_run_that_failed_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    files = written(tmp_path, {"candidate_log": make_logs(ADS, DAY, 10).candidate_log})
    (tmp_path / "bad.parquet").write_bytes(b"no rows")
    before = database(1)
    with pytest.raises(SqlModelError):
        run_model(
            rendered("considerations"), {"candidate_log": [str(tmp_path / "bad.parquet")]}, values(), str(tmp_path), 1
        )
    run_model(rendered("considerations"), files, values(), str(tmp_path / "good.parquet"), 1)
    assert database(1) is not before
    assert database(1).execute("select count(*) from duckdb_views() where not internal").fetchall() == [(0,)]


def test_a_run_that_was_stopped_leaves_nothing_to_the_next() -> None:
    def stopped() -> None:
        with schema_of_its_own(1) as connection:
            connection.execute("create view stopped as select 1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert database(1).execute("select count(*) from duckdb_views() where not internal").fetchall() == [(0,)]


def test_a_store_of_several_names_is_read_again_by_any(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryFileSystem()
    monkeypatch.setattr(store, "protocol", ("store", "also"))
    monkeypatch.setattr("ukdsl_assets.sql.run.filesystem", lambda protocol: store)
    database.cache_clear()
    for protocol in ("also", "store", "also"):
        with schema_of_its_own(1) as connection:
            read_through_fsspec(connection, protocol)
    assert database(1).list_filesystems() == ["store"]
    database.cache_clear()
