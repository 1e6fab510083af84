"""The graph as declared: complete, described, light to load, scheduled."""

import subprocess
import sys
from datetime import datetime

import dagster as dg
import pytest

from ukdsl_assets.defs.build import build_defs
from ukdsl_assets.settings import PROJECT, Settings

HEAVY = {"torch", "lightgbm", "numba", "matplotlib", "sklearn", "scipy"}


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build_defs(Settings())


@pytest.mark.slow
def test_loading_the_code_location_imports_nothing_heavy() -> None:
    script = "import sys, ukdsl_assets.definitions; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert not HEAVY & set(loaded.stdout.split())


def test_groups_stand_in_the_order_of_the_flow(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    order = sorted({graph.get(key).group_name for key in graph.get_all_asset_keys()})
    assert order == [
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
        assert (node.partitions_def is None) == (node.group_name in ("evidence", "theory")), key


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
