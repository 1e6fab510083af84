"""The graph as declared: complete, described, light to load, scheduled."""

import subprocess
import sys
from datetime import datetime

import dagster as dg
import pytest
import yaml

from tests.fixtures.shop import DECLARATION
from ukdsl_assets.declaration.read import SHIPPED, read_cascades
from ukdsl_assets.defs.build import build_defs
from ukdsl_assets.pipeline.stale import dated_tables
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import PROJECT, Settings

OF_NO_DAY = ("0_wrong_declarations", "evidence", "theory")
HEAVY = {"torch", "lightgbm", "numba", "matplotlib", "sklearn", "scipy"}


@pytest.fixture(scope="module")
def defs(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    """What is shipped, beside a user's folder with a declaration that is wrong."""
    folder = tmp_path_factory.mktemp("cascades")
    (folder / "broken.yaml").write_text(yaml.safe_dump(DECLARATION | {"name": "broken", "withheld_share": 2}))
    return build_defs(Settings(cascades=folder))


@pytest.mark.slow
def test_loading_the_code_location_imports_nothing_heavy() -> None:
    script = "import sys, ukdsl_assets.definitions; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert not HEAVY & set(loaded.stdout.split())


def test_groups_stand_in_the_order_of_the_flow(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    order = sorted({graph.get(key).group_name for key in graph.get_all_asset_keys()})
    assert order == [
        "0_wrong_declarations",
        "1_logs",
        "2_tables",
        "3_teachers",
        "4_selection",
        "5_students",
        "6_evaluation",
        "7_release",
        "8_report",
        "evidence",
        "theory",
    ]
    for key in graph.get_all_asset_keys():
        # A teacher may be the released student of another cascade.
        for parent in [each for each in graph.get(key).parent_keys if each.path[0] == key.path[0]]:
            assert graph.get(parent).group_name <= graph.get(key).group_name


def test_every_asset_says_what_it_is_and_whose(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert len(node.description or "") > 20, key
        assert node.owners, key
        assert node.kinds, key
        assert (node.partitions_def is None) == (node.group_name in OF_NO_DAY), key


def test_a_wrong_declaration_is_shown_by_its_error_and_stops_no_other(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    assert "simulated_ads_daily" in repository.job_names
    assert "broken_daily" not in repository.job_names
    graph = defs.resolve_asset_graph()
    (shown,) = [graph.get(key) for key in graph.get_all_asset_keys() if key.path[0] == "wrong_declarations"]
    assert not shown.is_materializable
    assert "broken.yaml: 1 wrong key(s)" in (shown.description or "")
    assert "withheld_share: expected at most 0.9999 (saw 2)" in (shown.description or "")


def test_every_cascade_has_a_daily_job_and_only_living_ones_a_schedule(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    assert {"simulated_ads_daily", "kuairand_daily"} <= set(repository.job_names)
    assert [schedule.job_name for schedule in repository.schedule_defs] == [
        "simulated_ads_daily",
        "simulated_item_page_daily",
        "simulated_last_stage_daily",
        "simulated_small_surface_daily",
    ]


def test_a_cascade_that_another_one_teaches_runs_an_hour_later(defs: dg.Definitions) -> None:
    assert defs.resolve_schedule_def("simulated_small_surface_daily_schedule").cron_schedule == "0 6 * * *"


def test_the_schedule_asks_for_yesterday_at_five_utc(defs: dg.Definitions) -> None:
    schedule = defs.resolve_schedule_def("simulated_ads_daily_schedule")
    assert schedule.cron_schedule == "0 5 * * *"
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance, scheduled_execution_time=datetime(2026, 3, 2, 5), repository_def=defs.get_repository_def()
        )
        (request,) = schedule.evaluate_tick(context).run_requests or []
    assert request.partition_key == "2026-03-01"


def test_days_are_watched_in_every_table_by_day(defs: dg.Definitions) -> None:
    graph, workspace = defs.resolve_asset_graph(), Workspace.open(Settings())
    watched = {key for cascade in read_cascades(SHIPPED).values() for key in dated_tables(cascade, workspace)}
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    by_day = {tuple(node.key.path) for node in nodes if "deltalake" in node.kinds and node.partitions_def is not None}
    assert len(by_day) > 50
    assert by_day <= watched


def test_late_data_is_asked_for_again_only_where_somebody_turns_it_on(defs: dg.Definitions) -> None:
    sensors = {sensor.name: sensor.default_status for sensor in defs.get_repository_def().sensor_defs}
    assert sensors["simulated_ads_late_data"] == dg.DefaultSensorStatus.STOPPED
    # Its logs ended in 2022, and nobody replaces them.
    assert "kuairand_late_data" not in sensors
