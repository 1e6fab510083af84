"""What to do after an experiment, where its metrics do not say the same."""

import numpy as np
import polars as pl
import pytest

from ukdsl_assets.experiments.assignment import Experiment
from ukdsl_assets.experiments.reading import read_experiment
from ukdsl_assets.reports.experiment import next_step

EXPERIMENT, VISITORS = Experiment("two_metrics", {"static": 0.5, "students": 0.5}), 20_000


def pages(purchases: float) -> pl.DataFrame:
    """A page a visitor: students lift clicks by half, and make a share of the purchases."""
    rng = np.random.default_rng(0)
    visitor = pl.Series("visitor", np.arange(VISITORS)).cast(pl.String)
    arm = EXPERIMENT.arms_of(visitor)
    students = (arm == "students").to_numpy()
    click = rng.random(VISITORS) < np.where(students, 0.3, 0.2)
    purchase = rng.random(VISITORS) < np.where(students, 0.1 * purchases, 0.1)
    return pl.DataFrame({"visitor": visitor, "arm": arm, "pages": 1, "click": click * 1.0, "purchase": purchase * 1.0})


@pytest.mark.parametrize(
    ("purchases", "told"),
    [
        (1.0, "serve students to all"),
        (0.3, "serve students to nobody yet: it loses purchase"),
        (0.0, "find out why purchase cannot be judged"),
    ],
)
def test_what_wins_by_one_metric_is_served_unless_another_is_lost(purchases: float, told: str) -> None:
    reading = read_experiment(pages(purchases), EXPERIMENT, ["click", "purchase"])

    assert reading.verdict == "Better"
    assert told in next_step(reading)
