"""Rows in the format of the Open Bandit Dataset through the page's own mapping and declaration, to estimates.

The data itself is not here: rows are drawn by a seed, with its columns and kinds of values.
"""

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from documentation.reading import blocks, documents
from tests.fixtures.explored_day import publish, publish_student, trained
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import read_cascade
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.off_policy import estimated_day
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
DAY = dt.date(2019, 11, 24)
ITEMS = 8
PAGE = list(blocks(documents()["docs/off-policy.md"]))
USERS = ["cef3390ed299c09874189c387777674a", "03a5648a76832f83c859d46bc06cb64a"]


def block(language: str, holds: str) -> str:
    (found,) = (each.text for each in PAGE if each.language == language and holds in each.text)
    return found


def campaign(rows: int, policy: str, seed: int) -> pl.DataFrame:
    """A campaign's rows; at random every item is as likely, and Thompson sampling prefers the first."""
    rng = np.random.default_rng(seed)
    liked = np.ones(ITEMS) if policy == "random" else np.linspace(2, 0.1, ITEMS)
    chance = liked / liked.sum()
    item = rng.choice(ITEMS, rows, p=chance)
    first = dt.datetime(2019, 11, 24, 0, 0, 17, 4101, tzinfo=dt.UTC)
    stamps = [str(first + dt.timedelta(seconds=int(each))) for each in np.sort(rng.integers(0, 86_000, rows))]
    return pl.DataFrame(
        {
            "timestamp": stamps,
            "item_id": item,
            "position": rng.integers(1, 4, rows),
            "click": (rng.uniform(size=rows) < 0.05 + 0.25 * (item == 5)).astype(np.int64),
            "propensity_score": chance[item],
            **{f"user_feature_{k}": rng.choice(USERS, rows) for k in range(4)},
            **{f"user-item_affinity_{k}": rng.integers(0, 3, rows).astype(np.float64) for k in range(ITEMS)},
        }
    )


ITEM_CONTEXT = pl.DataFrame(
    {
        "item_id": range(ITEMS),
        "item_feature_0": np.linspace(-0.6, 0.4, ITEMS),
        "item_feature_1": ["4c8f2b9a"] * 4 + ["e1aa70bb"] * 4,
    }
)


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    """The declaration of the page, over both policies' rows of a day."""
    made: dict[str, object] = {}
    exec(compile(block("python", "def logs_of"), "page", "exec"), made)
    (tmp_path / "open_bandit.yaml").write_text(block("yaml", "name: open_bandit"))
    for policy, rows in (("random", 900), ("bts", 600)):
        frames = made["logs_of"](campaign(rows, policy, seed=rows), ITEM_CONTEXT, policy)  # type: ignore[operator]
        for name, frame in zip(("candidate_log", "event_log"), frames, strict=True):
            folder = tmp_path / "open_bandit_logs" / name / f"day={DAY}"
            folder.mkdir(parents=True, exist_ok=True)
            frame.write_parquet(folder / f"{policy}.parquet")
    return read_cascade(tmp_path / "open_bandit.yaml")


def test_estimates_are_those_of_the_rows_as_they_were_logged(cascade: Cascade, tmp_path: Path) -> None:
    workspace = Workspace.open(Settings(lake=str(tmp_path / "lake"), threads=1))
    day = Day(workspace, cascade, DAY)
    impressions = publish(workspace, cascade, DAY, day.source(print))
    fit = trained(cascade, "item_click", impressions)
    publish_student(workspace, cascade, "item_click", fit, DAY)
    cascade = cascade.model_copy(update={"withheld_share": 0.9999})
    table = estimated_day(Day(workspace, cascade, DAY), cascade.student("item_click"))

    random, bts = campaign(900, "random", 900), campaign(600, "bts", 600)
    log = workspace.lake.scan(("open_bandit", "candidate_log"), [DAY]).collect().sort("request_id", "candidate_id")
    scores = log.with_columns(score=pl.Series(predict_student(fit.student, log)["impression"]))
    best = scores.sort("score", descending=True).group_by("request_id", maintain_order=True).first()
    chosen = dict(best.select("request_id", "item").iter_rows())
    matched = np.array([chosen[f"random/{DAY}/{row}"] == item for row, item in enumerate(random["item_id"])])
    weight = matched / random["propensity_score"].to_numpy()
    click = random["click"].to_numpy()
    found = {row["estimator"]: row for row in table.iter_rows(named=True)}
    assert set(found) == {"ips", "snips", "dr", "sndr", "switch_dr"}
    assert found["ips"]["requests"] == pytest.approx(900, abs=2)  # Of all requests but one in ten thousand.
    assert found["ips"]["value"] == pytest.approx((weight * click).mean(), rel=0.01)
    assert found["snips"]["value"] == pytest.approx((weight * click).sum() / weight.sum(), rel=0.01)
    assert found["ips"]["production_of"] == "own requests"
    assert found["ips"]["production"] == pytest.approx(bts["click"].mean())
    assert found["sndr"]["value_low"] < found["sndr"]["value"] < found["sndr"]["value_high"]
