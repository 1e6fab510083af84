from pathlib import Path

import duckdb
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tests.sources.logs import make_logs
from tests.sql.tables import ADS, DAY, STUDENT, run, written
from ukdsl_assets.sql.withheld import BUCKETS, SALT, withheld

QUERY = "select md5_number_lower(id::varchar || $salt) % 10000 < $buckets from ids"
CONNECTION = duckdb.connect(config={"threads": 1})


@given(
    st.one_of(
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30),
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12), min_size=1, max_size=30),
    ),
    st.floats(0, 1),
)
def test_python_and_sql_withhold_the_same_requests(ids: list[int] | list[str], share: float) -> None:
    series = pl.Series("id", ids)
    CONNECTION.register("ids", series.to_frame())
    expected = CONNECTION.execute(QUERY, {"salt": SALT, "buckets": share * BUCKETS}).fetchall()
    assert withheld(series, share).to_list() == [row[0] for row in expected]


def test_about_the_declared_share_of_requests_is_withheld() -> None:
    # 20,000 requests at 20%: six standard deviations are 340.
    assert abs(withheld(pl.Series(range(20_000)), 0.2).sum() - 4_000) < 340
    assert not withheld(pl.Series(range(1_000)), 0.0).any()
    assert withheld(pl.Series(range(1_000)), 1.0).all()


def test_the_tables_flag_is_the_twins_and_the_same_for_every_student(tmp_path: Path) -> None:
    files = written(tmp_path, make_logs(ADS, DAY, 200)._asdict())
    for model in ("impressions", "considerations"):
        run(tmp_path, model, files)
    flags = {}
    for student in (STUDENT, ADS.student("retrieval_click")):
        run(tmp_path, "logged_teacher_labels", files, teacher=ADS.teacher(student.teacher))
        rows = run(tmp_path, "teacher_augmented", files, student=student)
        assert rows["withheld"].equals(withheld(rows["request_id"], ADS.withheld_share))
        flags[student.name] = dict(rows.select("request_id", "withheld").unique().iter_rows())
    first, second = flags.values()
    assert 0 < sum(first.values()) < len(first)
    assert first == second
