"""The graph draws no arrow that others imply, and loses no ancestor by it."""

from pathlib import Path

import dagster as dg
import pytest

from tests.fixtures.shop import declare
from ukdsl_assets.defs.build import build_defs
from ukdsl_assets.defs.graph.edges import without_implied_edges
from ukdsl_assets.settings import Settings

PARTITIONS = dg.DailyPartitionsDefinition("2026-01-01")


def asset(name: str, *deps: tuple[str, int]) -> dg.AssetsDefinition:
    """An asset that depends on others over so many days."""
    edges = [
        dg.AssetDep(other, partition_mapping=dg.TimeWindowPartitionMapping(start_offset=1 - days))
        for other, days in deps
    ]
    spec = dg.AssetSpec(name, deps=edges, partitions_def=PARTITIONS)

    @dg.multi_asset(name=f"make_{name}", specs=[spec])
    def made() -> None: ...

    return made


def parents(assets: list[dg.AssetsDefinition]) -> dict[str, set[str]]:
    return {spec.key.path[-1]: {dep.asset_key.path[-1] for dep in spec.deps} for each in assets for spec in each.specs}


@pytest.mark.parametrize(
    ("direct", "through", "drawn"),
    [
        (1, (1, 1), {"middle"}),
        (3, (3, 1), {"middle"}),
        (3, (2, 2), {"middle"}),
        (4, (2, 2), {"middle", "first"}),
        (2, (1, 1), {"middle", "first"}),
    ],
)
def test_an_arrow_is_implied_by_a_way_over_as_many_days(direct: int, through: tuple[int, int], drawn: set[str]) -> None:
    near, far = through
    graph = [asset("first"), asset("middle", ("first", far)), asset("last", ("middle", near), ("first", direct))]
    assert parents(without_implied_edges(graph))["last"] == drawn


def test_what_is_not_given_keeps_its_arrows() -> None:
    graph = [asset("middle", ("elsewhere", 1)), asset("last", ("middle", 1), ("far", 1))]
    assert parents(without_implied_edges(graph)) == {"middle": {"elsewhere"}, "last": {"middle", "far"}}


def test_a_cascade_has_the_ancestors_that_its_tables_are_read_from_and_no_arrow_too_many(tmp_path: Path) -> None:
    graph = build_defs(Settings(), {"shop": declare(tmp_path)}).resolve_asset_graph()
    above = {key.path[-1]: graph.get_ancestor_asset_keys(key) for key in graph.get_all_asset_keys()}
    assert {key.path[-1] for key in above["report"]} == set(above) - {"report"}
    for key in graph.get_all_asset_keys():
        near = graph.get(key).parent_keys
        implied = {parent for parent in near if any(parent in above[other.path[-1]] for other in near - {parent})}
        assert not implied
