"""A world whose cascade has hardly learnt anything, so that a test of a study is quick."""

from pathlib import Path

from ukdsl_assets.evidence.simulated_days import scale_of
from ukdsl_assets.simulation.day import simulate_day
from ukdsl_assets.simulation.production import ProductionModels
from ukdsl_assets.simulation.state import StateFolder
from ukdsl_assets.simulation.world import World

SEED = 100
WORLD = World(SEED)


def barely_warmed_up(folder: Path, seed: int = SEED) -> ProductionModels:
    """Models after one small day, saved where the studies look for those after the warm-up."""
    models = ProductionModels(seed, -2)
    models.train(simulate_day(World(seed), models, -1, 300, truths=False), scale_of(300))
    StateFolder(str(folder), seed, "default").save(models)
    return models
