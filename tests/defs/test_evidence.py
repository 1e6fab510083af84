"""Table 1 as an asset, on small days of worlds that have hardly been warmed up."""

from pathlib import Path

import dagster as dg
import pytest

from tests.fixtures.worlds import barely_warmed_up
from ukdsl_assets.defs.build import build_defs
from ukdsl_assets.defs.evidence import MEANINGS, WORLDS
from ukdsl_assets.lake.tables.undated import read_whole
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow


def test_table_1_is_published_with_its_aims_judged_and_measured_once(tmp_path: Path) -> None:
    settings = Settings(lake=str(tmp_path), scale="small", threads=1, examples="evidence")
    for seed in range(1, WORLDS + 1):
        barely_warmed_up(tmp_path / "evidence" / "scratch", seed)
    job = build_defs(settings, {}).resolve_job_def("evidence")
    with dg.DagsterInstance.ephemeral() as instance:
        first, again = job.execute_in_process(instance=instance), job.execute_in_process(instance=instance)
    assert len(list((tmp_path / "evidence" / "table1").glob("*.json"))) == WORLDS
    (check,) = first.get_asset_check_evaluations()
    assert "rows that the next stage scored: calibration 1.00 +- .02, teacher" in (check.description or "")
    versions = [
        (made.tags or {})["dagster/data_version"]
        for done in (first, again)
        for made in done.asset_materializations_for_node("evidence__table1")
    ]
    assert versions[0] == versions[1]
    frame = read_whole(settings.tables, ("evidence", "table1"))
    assert frame.columns == list(MEANINGS)
    line = frame.filter(table="calibration", figure="CD, teacher", line="two heads, impression, consideration")
    assert line["worlds"].to_list() == [WORLDS]
    assert line["mean"][0] == pytest.approx(1, abs=0.2)
