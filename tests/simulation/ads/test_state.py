from pathlib import Path

import pytest
import safetensors.torch
import torch

from ukdsl_assets.errors import SourceError
from ukdsl_assets.simulation.ads.day import simulate_day
from ukdsl_assets.simulation.ads.production import ProductionModels
from ukdsl_assets.simulation.ads.state import StateFolder
from ukdsl_assets.simulation.ads.world import World
from ukdsl_assets.simulation.scales import Scale


@pytest.fixture(scope="module")
def models() -> ProductionModels:
    trained = ProductionModels(100, -3)
    trained.train(simulate_day(World(100), trained, -2, 100, truths=False), Scale(100, 100, 64, 1e-3))
    return trained


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "state") if request.param == "local" else f"memory://{tmp_path.name}/state"


def test_saved_models_come_back_as_they_were(models: ProductionModels, folder: str) -> None:
    states = StateFolder(folder, seed=100, scale="small")
    assert states.days() == []

    states.save(models)
    states.save(models)

    assert states.days() == [-2]
    loaded = states.load(-2)
    assert loaded.trained_to == -2
    assert loaded.state().keys() == models.state().keys()
    assert all(torch.equal(tensor, models.state()[name]) for name, tensor in loaded.state().items())


def test_unfinished_files_are_no_states(models: ProductionModels, tmp_path: Path) -> None:
    states = StateFolder(str(tmp_path), seed=100, scale="small")
    states.save(models)
    saved = tmp_path / "seed=100" / "scale=small" / "-2.safetensors"

    (saved.parent / "-1.safetensors.0123.unfinished").write_bytes(b"half")

    assert states.days() == [-2]
    assert [path.name for path in saved.parent.glob("-2*")] == ["-2.safetensors"]


def test_a_broken_file_is_named_with_the_fix(models: ProductionModels, tmp_path: Path) -> None:
    states = StateFolder(str(tmp_path), seed=100, scale="small")
    states.save(models)
    path = tmp_path / "seed=100" / "scale=small" / "-2.safetensors"
    path.write_bytes(path.read_bytes()[:1000])

    with pytest.raises(SourceError, match=r"-2\.safetensors.*delete"):
        states.load(-2)


def test_a_state_of_another_version_is_refused(models: ProductionModels, tmp_path: Path) -> None:
    states = StateFolder(str(tmp_path), seed=100, scale="small")
    states.save(models)
    path = tmp_path / "seed=100" / "scale=small" / "-2.safetensors"
    safetensors.torch.save_file({**safetensors.torch.load(path.read_bytes()), "world_version": torch.tensor(0)}, path)

    with pytest.raises(SourceError, match=r"version 0 .*expected 1"):
        states.load(-2)


def test_a_flipped_bit_and_a_file_of_no_day_are_refused(models: ProductionModels, tmp_path: Path) -> None:
    states = StateFolder(str(tmp_path), seed=100, scale="small")
    states.save(models)
    path = tmp_path / "seed=100" / "scale=small" / "-2.safetensors"
    good = path.read_bytes()
    path.write_bytes(good[:-3] + bytes([good[-3] ^ 64]) + good[-2:])
    with pytest.raises(SourceError, match=r"-2\.safetensors.*a digest that is not that of its numbers.*delete"):
        states.load(-2)
    path.write_bytes(good)
    (path.parent / "notaday.safetensors").write_bytes(good)
    with pytest.raises(SourceError, match=r"notaday\.safetensors: expected <number of a simulated day>.*move it"):
        states.days()


def test_a_state_of_before_they_were_verified_is_loaded(models: ProductionModels, tmp_path: Path) -> None:
    states = StateFolder(str(tmp_path), seed=100, scale="small")
    states.save(models)
    path = tmp_path / "seed=100" / "scale=small" / "-2.safetensors"
    path.write_bytes(safetensors.torch.save(safetensors.torch.load(path.read_bytes())))
    assert states.load(-2).trained_to == -2
