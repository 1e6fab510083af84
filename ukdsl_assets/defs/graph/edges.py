"""Which arrows the graph shows: those that no other path implies."""

from collections.abc import Sequence
from functools import cache

import dagster as dg

from ukdsl_assets.defs.graph.keys import window_days


def without_implied_edges(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """The assets without those dependencies that go through others too, over as many days or more.

    An asset has the ancestors that it had, and a run the order of its steps; a day of three students has 59 arrows in
    place of 98, so that one can follow them. What an asset read itself is in its commit (`input:...`). Edges to assets
    that are not given stay.
    """
    specs = [spec for each in assets for spec in each.specs]
    parents = {spec.key: {dep.asset_key: window_days(dep) for dep in spec.deps} for spec in specs}

    @cache
    def reached(key: dg.AssetKey) -> dict[dg.AssetKey, int]:
        """Ancestor -> how many days of it the asset depends on, today's included, over the path of most days."""
        found: dict[dg.AssetKey, int] = {}
        for parent, days in parents.get(key, {}).items():
            found[parent] = max(days, found.get(parent, 0))
            for ancestor, more in reached(parent).items():
                found[ancestor] = max(days + more - 1, found.get(ancestor, 0))
        return found

    def implied(spec: dg.AssetSpec, dep: dg.AssetDep) -> bool:
        through = [
            days + reached(key)[dep.asset_key] - 1
            for key, days in parents[spec.key].items()
            if dep.asset_key in reached(key)
        ]
        return max(through, default=0) >= window_days(dep)

    def drawn(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(deps=[dep for dep in spec.deps if not implied(spec, dep)])

    return [each.map_asset_specs(drawn) for each in assets]
