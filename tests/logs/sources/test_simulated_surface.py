"""Another surface of a simulated world: what it shares, what is its own, and what its log is called."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.sources import SimulatedSource as Declaration
from ukdsl_assets.declaration.sources import SimulatedSurface
from ukdsl_assets.errors import SourceError
from ukdsl_assets.logs.sources.simulated_ads import SimulatedAdsReader
from ukdsl_assets.simulation.ads.truth import true_probabilities
from ukdsl_assets.simulation.ads.world import World

SMALL = read_cascade(SHIPPED / "simulated_small_surface.yaml")


def surface(**keys: Any) -> SimulatedSurface:
    return SimulatedSurface(name="other", **keys)


def declared(**changes: Any) -> Cascade:
    source = SMALL.source.model_dump()
    source["surface"] |= changes
    return SMALL.model_copy(update={"source": Declaration.model_validate(source)})


@pytest.fixture(autouse=True)
def _short_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ukdsl_assets.simulation.scales.WARM_UP_DAYS", 1)


def test_ads_and_users_are_shared_and_requests_are_not() -> None:
    main, other = World(100), World(100, surface())
    assert all(np.array_equal(one, two) for one, two in zip(main.ads(3), other.ads(3), strict=True))
    mine, theirs = main.requests(0, 2000), other.requests(0, 2000)
    assert np.mean(mine.user == theirs.user) < 0.1
    segment = dict(zip(mine.user, mine.user_segment, strict=True))
    both = [user for user in theirs.user if user in segment]
    own = dict(zip(theirs.user, theirs.user_segment, strict=True))
    assert len(both) > 50
    assert all(segment[user] == own[user] for user in both)


def test_a_shift_moves_every_click_logit_and_a_difference_changes_tastes() -> None:
    worlds = {
        key: World(100, surface(**keys))
        for key, keys in {"same": {}, "shifted": {"click_shift": -1.0}, "own": {"difference": 0.5}}.items()
    }
    slots = np.tile(np.arange(50), (300, 1))
    logits = {}
    for name, world in worlds.items():
        click, _ = true_probabilities(world, world.requests(0, 300), world.ads(0), slots)
        logits[name] = np.log(click / (1 - click))
    np.testing.assert_allclose(logits["shifted"] - logits["same"], -1, atol=1e-4)
    moved = logits["own"] - logits["same"]
    assert moved.std() > 0.2
    # The world's effects keep their size; only whose they are changes.
    assert logits["own"].std() == pytest.approx(logits["same"].std(), rel=0.2)


def test_traffic_names_and_features_are_the_declarations(tmp_path: Path) -> None:
    cascade = declared(traffic=0.1)
    log = SimulatedAdsReader(cascade, str(tmp_path), "small").read(SMALL.first_day).candidate_log
    assert log["request_id"].n_unique() == 50
    assert {"segment", "slot", "profile", "seller"} <= set(log.columns)
    assert not {"user_segment", "placement", "device"} & set(log.columns)
    again = SimulatedAdsReader(cascade, str(tmp_path), "small").read(SMALL.first_day).candidate_log
    assert again.equals(log)


def test_state_of_another_declaration_of_the_surface_is_not_carried_on(tmp_path: Path) -> None:
    for traffic in (0.02, 0.04):
        SimulatedAdsReader(declared(traffic=traffic), str(tmp_path), "small").read(SMALL.first_day)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"segment": "user_segments"}, "features: unknown feature `segment`"),
        ({"kind": "device"}, "source.surface.columns: unknown feature `kind`"),
        ({"slot": "country"}, "features: two of them are the world's `country`"),
    ],
)
def test_names_that_the_world_does_not_have_are_refused(tmp_path: Path, columns: dict[str, str], expected: str) -> None:
    names = SMALL.source.surface.columns  # type: ignore[union-attr]
    with pytest.raises(SourceError, match=expected):
        SimulatedAdsReader(declared(columns={**names, **columns}), str(tmp_path), "small")
