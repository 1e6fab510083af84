"""The graph as declared: complete, described, light to load, scheduled."""

import os
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path

import dagster as dg
import pytest
import yaml

from tests.fixtures.graph import shipped
from tests.fixtures.shop import DECLARATION, declare
from ukdsl_assets.declaration.read import SHIPPED, read_cascades
from ukdsl_assets.defs.build import build_defs
from ukdsl_assets.defs.graph.keys import asset_key
from ukdsl_assets.defs.schedules import daily_job, job_name, schedules
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.logs.sources.kuairand import LOGS, USERS, VIDEOS
from ukdsl_assets.pipeline.stale import dated_tables
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import PROJECT, Settings

OF_NO_DAY = ("0_wrong_declarations", "evidence", "theory")
HEAVY = {"torch", "lightgbm", "numba", "matplotlib", "sklearn", "scipy"}


@pytest.fixture(scope="module")
def defs(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    """All that is shipped, beside a user's folder with a declaration that is wrong."""
    folder = tmp_path_factory.mktemp("cascades")
    (folder / "broken.yaml").write_text(yaml.safe_dump(DECLARATION | {"name": "broken", "withheld_share": 2}))
    return build_defs(Settings(cascades=folder, examples="all", kuairand=kuairand_in(folder / "kuairand")))


def kuairand_in(folder: Path) -> Path:
    """A folder with files of the names that KuaiRand-Pure has."""
    folder.mkdir()
    for name in (*LOGS, USERS, VIDEOS):
        (folder / name).touch()
    return folder


@pytest.mark.slow
def test_loading_the_code_location_imports_nothing_heavy() -> None:
    script = "import sys, ukdsl_assets.definitions; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert not HEAVY & set(loaded.stdout.split())


def test_a_group_is_a_cascade(defs: dg.Definitions) -> None:
    graph, cascades = defs.resolve_asset_graph(), set(read_cascades(SHIPPED))
    of_cascades = [graph.get(key) for key in graph.get_all_asset_keys() if key.path[0] in cascades]
    assert {node.group_name for node in of_cascades} == cascades
    assert all(node.group_name == node.key.path[0] for node in of_cascades)


def test_a_page_has_an_estimate_of_its_own_after_all_its_students_and_no_cascade_without_one(tmp_path: Path) -> None:
    cascade, settings = shipped("simulated_item_page"), Settings(lake=str(tmp_path))
    name = cascade.name
    graph = build_defs(settings, {name: cascade}).resolve_asset_graph()
    without = build_defs(settings, {name: shipped(name, page=None)}).resolve_asset_graph()
    page = dg.AssetKey([name, "off_policy"])
    assert graph.get_all_asset_keys() - without.get_all_asset_keys() == {page}
    assert {key.path[1] for key in graph.get(page).parent_keys} >= {
        "module_click_distilled",
        "module_purchase_distilled",
    }
    assert page in graph.get(dg.AssetKey([name, "report"])).parent_keys
    # No release waits for the page, whose students' releases would else wait for each other.
    assert {key.path[1] for key in graph.get(page).child_keys} == {"report"}


def test_a_box_tells_whose_it_is_by_the_last_part_of_its_key(defs: dg.Definitions) -> None:
    keys = defs.resolve_asset_graph().get_all_asset_keys()
    for name, cascade in read_cascades(SHIPPED).items():
        names = [key.path[-1] for key in keys if key.path[0] == name]
        assert len(names) == len(set(names)) > 5
        for student in cascade.students:
            endings = ("augmented", "baseline", "distilled", "evaluation", "champion", "release")
            assert {f"{student.name}_{each}" for each in endings} <= set(names)


def test_a_plain_cascade_of_one_student_has_fourteen_boxes(tmp_path: Path) -> None:
    graph = build_defs(Settings(), {"shop": declare(tmp_path)}).resolve_asset_graph()
    assert len(graph.get_all_asset_keys()) == 14


def test_steps_stand_in_the_order_of_the_flow(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    nodes = {key: graph.get(key) for key in graph.get_all_asset_keys()}
    steps = {key: node.tags["step"] for key, node in nodes.items() if "step" in node.tags}
    assert sorted(set(steps.values())) == [
        "1_logs",
        "2_tables",
        "3_teachers",
        "4_selection",
        "5_students",
        "6_evaluation",
        "7_release",
        "8_report",
    ]
    for key, step in steps.items():
        # A teacher may be the released student of another cascade.
        for parent in [each for each in nodes[key].parent_keys if each.path[0] == key.path[0]]:
            assert steps[parent] <= step


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


def test_every_cascade_has_a_daily_job_and_only_living_ones_a_schedule(defs: dg.Definitions, tmp_path: Path) -> None:
    repository = defs.get_repository_def()
    assert {"simulated_ads_daily", "kuairand_daily"} <= set(repository.job_names)
    assert not repository.schedule_defs
    living = build_defs(Settings(), {"shop": declare(tmp_path)}).get_repository_def()
    assert [schedule.job_name for schedule in living.schedule_defs] == ["shop_daily"]


def test_a_cascade_that_another_one_teaches_runs_an_hour_later() -> None:
    small = shipped("simulated_small_surface", last_day=None)
    (schedule,) = schedules(small, daily_job(small))
    cascades = {cascade.name: cascade for cascade in (small, shipped("simulated_ads"))}
    defs = build_defs(Settings(), cascades)
    assert defs.resolve_schedule_def(schedule.name).cron_schedule == "0 6 * * *"


def test_the_schedule_asks_for_yesterday_at_five_utc(tmp_path: Path) -> None:
    defs = build_defs(Settings(), {"shop": declare(tmp_path, first_day="2026-02-01")})
    schedule = defs.resolve_schedule_def("shop_daily_schedule")
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
    by_day = {node.key for node in nodes if "deltalake" in node.kinds and node.partitions_def is not None}
    assert len(by_day) > 50
    assert by_day <= {asset_key(table) for table in watched}


def test_late_data_is_asked_for_again_only_where_somebody_turns_it_on(defs: dg.Definitions, tmp_path: Path) -> None:
    living = build_defs(Settings(), {"shop": declare(tmp_path)}).get_repository_def()
    assert {sensor.name: sensor.default_status for sensor in living.sensor_defs}["shop_late_data"] == (
        dg.DefaultSensorStatus.STOPPED
    )
    sensors = {sensor.name for sensor in defs.get_repository_def().sensor_defs}
    # Its logs ended in 2022, and nobody replaces them.
    assert "kuairand_late_data" not in sensors


def test_steps_share_a_process_unless_processes_are_asked_for(tmp_path: Path) -> None:
    def executor(steps: str, engine: str = "local") -> object:
        return build_defs(Settings(lake=str(tmp_path), steps=steps, engine=engine), {}).executor

    assert executor(steps="1") is dg.in_process_executor
    # A thread that waits for workers could not be interrupted, and they fill the cores.
    assert executor(steps="2", engine="processes:2") is dg.in_process_executor
    for steps, name in (("2", "side_by_side"), ("processes:4", "in_processes")):
        made = executor(steps=steps)
        assert isinstance(made, dg.ExecutorDefinition)
        assert made.name == name


@pytest.mark.slow
def test_steps_in_processes_make_what_one_process_makes(tmp_path: Path) -> None:
    cascade, day = shipped("simulated_item_page"), date(2026, 1, 1)
    tables = ("candidate_log", "event_log", "impressions", "considerations")
    one, apart = Settings(lake=f"{tmp_path}/1", scale="small"), Settings(lake=f"{tmp_path}/2", scale="small")
    job = build_defs(one, {cascade.name: cascade}).resolve_job_def(job_name(cascade))
    with dg.DagsterInstance.ephemeral() as instance:
        keys = [dg.AssetKey([cascade.name, table]) for table in tables]
        assert job.execute_in_process(partition_key=str(day), instance=instance, asset_selection=keys).success
    wanted = " or ".join(f'key:"{cascade.name}/{table}"' for table in tables)
    environment = os.environ | {"DAGSTER_HOME": str(tmp_path), "UKDSL_LAKE": apart.lake, "UKDSL_STEPS": "processes:2"}
    environment |= {"UKDSL_SCALE": "small", "UKDSL_EXAMPLES": cascade.name}
    command = ["-m", "dagster", "asset", "materialize", "-m", "ukdsl_assets.definitions", "--select", wanted]
    command += ["--partition", str(day)]
    told = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment, cwd=PROJECT)
    assert told.returncode == 0, told.stderr
    assert "STEP_WORKER_STARTED" in told.stderr + told.stdout
    for table in tables:
        parts = [Lake(settings.tables).partition((cascade.name, table), day) for settings in (one, apart)]
        assert len({part.data_version for part in parts if part}) == 1, table
        assert all(parts), table
