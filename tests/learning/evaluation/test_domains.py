"""SCORED, OWN and EXPLORED, against a naive computation for each request."""

import math
from collections import defaultdict
from functools import partial

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import CD, EXPLORED, IMP, OWN, REJECTED, SCORED
from ukdsl_assets.learning.evaluation.by_group import calibration_by_group
from ukdsl_assets.learning.evaluation.domains import top_of_each
from ukdsl_assets.learning.evaluation.predictions import PredictedRows
from ukdsl_assets.learning.evaluation.table import COLUMNS, evaluate, evaluate_shards, figure
from ukdsl_assets.learning.evaluation.totals import totals_of
from ukdsl_assets.learning.metrics.bootstrap import replicate_weights
from ukdsl_assets.learning.metrics.calibration import calibration, normalized_entropy

BASELINE, SERVED = ("baseline", "impression"), ("distilled", "consideration")
HEADS = (BASELINE, ("distilled", "impression"), SERVED)
Predictions = dict[tuple[str, str], NDArray[np.float32]]


def world(
    seed: int, requests: int = 12, probe_rate: float = 0.5, bids: bool = True, most: int = 9
) -> tuple[pl.DataFrame, Predictions]:
    """Slates of random sizes of which random numbers got beyond; some of the others are labelled as well.

    Candidates' predictions take few values, so that there are ties, and are alike in every domain.
    """
    rng = np.random.default_rng(seed)
    frames = []
    for request in range(requests):
        size = int(rng.integers(1, most + 1))
        beyond = rng.permutation(size) < rng.integers(0, size + 1)
        probed = ~beyond & (rng.random(size) < probe_rate)
        truth = rng.uniform(0.05, 0.6, size).astype(np.float32)
        slate = pl.DataFrame(
            {"request_id": [request] * size, "candidate_id": range(size), "_beyond": beyond, "truth": truth}
            | {"taught": rng.uniform(0.05, 0.6, size).astype(np.float32), "probed": probed}
            | {"bid": rng.choice([1.0, 2.0, 3.0], size).astype(np.float32)},
        )
        rate = pl.when("probed").then(1 / probe_rate).when("_beyond").then(1.0).cast(pl.Float32)
        target = pl.when(pl.col("_beyond") | pl.col("probed")).then("taught")
        slate = slate.with_columns(weight=rate, target=target)
        labelled = slate.filter(pl.col("target").is_not_null()).with_columns(
            domain=pl.when("_beyond").then(pl.lit(CD)).otherwise(pl.lit(REJECTED))
        )
        shown = (
            slate.filter("_beyond")
            .head(2)
            .with_columns(
                domain=pl.lit(IMP),
                target=(pl.lit(rng.random()) < pl.col("truth")).cast(pl.Float32),
                weight=pl.lit(1.0, pl.Float32),
                explored=pl.lit(bool(rng.random() < 0.6)),
                propensity=pl.Series(rng.uniform(0.1, 0.9, min(2, int(beyond.sum()))).astype(np.float32)),
            )
        )
        frames += [shown, labelled, slate.with_columns(domain=pl.lit(SCORED))]
    rows = pl.concat(frames, how="diagonal")
    order = pl.concat([rows.filter(pl.col("domain") != SCORED), rows.filter(domain=SCORED)])
    if not bids:
        order = order.drop("bid")
    places = order.select(pl.struct("request_id", "candidate_id").rank("dense")).to_series().to_numpy() - 1
    predictions = {key: rng.choice([0.1, 0.2, 0.3, 0.4], places.max() + 1).astype(np.float32)[places] for key in HEADS}
    return order.drop("probed"), predictions


def naive_choice(scored: pl.DataFrame, value: list[float]) -> list[bool]:
    """Of each request the k rows of the highest value, one by one; of equals those that come first."""
    by_request = defaultdict(list)
    for place, (row, of) in enumerate(zip(scored.iter_rows(named=True), value, strict=True)):
        by_request[row["request_id"]].append((-of, place, row["_beyond"]))
    chosen = set()
    for rows in by_request.values():
        chosen |= {place for _, place, _ in sorted(rows)[: sum(beyond for *_, beyond in rows)]}
    return [place in chosen for place in range(len(scored))]


@hypothesis_settings(max_examples=8)
@given(st.integers(0, 10_000), st.booleans())
def test_every_head_is_judged_on_its_own_choice_as_one_by_one(seed: int, bids: bool) -> None:
    rows, predictions = world(seed, bids=bids)
    table = evaluate(rows, predictions)
    is_scored = (rows["domain"] == SCORED).to_numpy()
    scored = rows.filter(is_scored)
    bid = scored["bid"].to_numpy().astype(float) if bids else np.ones(len(scored))
    ideal = pl.Series(naive_choice(scored, (bid * scored["truth"].to_numpy()).tolist()))
    for arm, head in HEADS:
        p = predictions[arm, head][is_scored]
        own = pl.Series(naive_choice(scored, (bid * p).tolist()))
        where = {"arm": arm, "head": head, "domain": OWN}
        if not own.any():
            assert table.filter(**where).is_empty()
            continue
        truth = {**where, "reference": "truth"}
        assert figure(table, "rows", **truth) == own.sum()
        kept = own.to_numpy()
        assert figure(table, "calibration", **truth) == pytest.approx(
            calibration(p[kept], scored["truth"].to_numpy()[kept])
        )
        worth = bid * scored["truth"].to_numpy()
        assert figure(table, "value_share", **truth) == pytest.approx(worth[kept].sum() / worth[ideal.to_numpy()].sum())
        assert figure(table, "recall", **truth) == pytest.approx(float((own & ideal).sum()) / float(ideal.sum()))
        labelled = kept & scored["target"].is_not_null().to_numpy()
        if labelled.any() and REJECTED in rows["domain"]:
            y, w = (scored[name].to_numpy()[labelled] for name in ("target", "weight"))
            teacher = {**where, "reference": "teacher"}
            assert figure(table, "rows", **teacher) == labelled.sum()
            assert figure(table, "calibration", **teacher) == pytest.approx(calibration(p[labelled], y, w))
            assert math.isnan(figure(table, "recall", **teacher))


def test_a_day_whose_labels_do_not_stand_for_all_that_was_scored_is_left_out_of_that_comparison_alone() -> None:
    probed, without = world(1, requests=30), world(2, requests=30, probe_rate=1e-9)
    days = []
    for number, ((rows, predictions), taught) in enumerate(((probed, True), (without, False), (without, False))):
        marked = rows.with_columns(pl.col("request_id") + 1000 * number, _taught=pl.lit(taught))
        days.append(partial(PredictedRows, marked, predictions))
    alone, pooled = (evaluate_shards(shards, totals_of(shards, 0)) for shards in (days[:1], days))
    for arm, head in HEADS:
        for domain in (SCORED, OWN):
            where = {"arm": arm, "head": head, "domain": domain, "reference": "teacher"}
            for column in ("rows", "calibration"):
                assert figure(pooled, column, **where) == pytest.approx(figure(alone, column, **where))
            truth = where | {"reference": "truth"}
            assert figure(pooled, "rows", **truth) > figure(alone, "rows", **truth)
        where = {"arm": arm, "head": head, "domain": CD, "reference": "teacher"}
        assert figure(pooled, "rows", **where) > figure(alone, "rows", **where)
    entropy = {"arm": "distilled", "head": "consideration", "domain": SCORED, "reference": "teacher"}
    assert figure(pooled, "ne_change", **entropy) == pytest.approx(figure(alone, "ne_change", **entropy))


@hypothesis_settings(max_examples=5)
@given(st.integers(0, 10_000))
def test_all_that_was_scored_is_considered_and_rejected_rows_by_their_weights(seed: int) -> None:
    rows, predictions = world(seed, requests=20)
    table = evaluate(rows, predictions)
    taught = rows["domain"].is_in([CD, REJECTED]).to_numpy()
    y, w = (rows[name].to_numpy()[taught] for name in ("target", "weight"))
    p, base = (predictions[key][taught] for key in (SERVED, BASELINE))
    where = {"arm": "distilled", "head": "consideration", "domain": SCORED}
    teacher = {**where, "reference": "teacher"}
    assert figure(table, "rows", **teacher) == taught.sum()
    assert figure(table, "calibration", **teacher) == pytest.approx(calibration(p, y, w))
    change = normalized_entropy(p, y, w) / normalized_entropy(base, y, w) - 1
    assert figure(table, "ne_change", **teacher) == pytest.approx(change)
    assert figure(table, "effective_rows", **teacher) == pytest.approx(w.sum() ** 2 / (w**2).sum())
    scored = (rows["domain"] == SCORED).to_numpy()
    truth = {**where, "reference": "truth"}
    assert figure(table, "rows", **truth) == scored.sum()
    expected = calibration(predictions[SERVED][scored], rows["truth"].to_numpy()[scored])
    assert figure(table, "calibration", **truth) == pytest.approx(expected)


@pytest.mark.parametrize("domain", [SCORED, OWN])
def test_probes_estimate_what_labels_on_all_rows_say(domain: str) -> None:
    """The calibration against probes of a fifth is that against every label, within its error."""
    rows, predictions = world(1, requests=300, probe_rate=0.2)
    is_scored = (rows["domain"] == SCORED).to_numpy()
    scored = rows.filter(is_scored).with_columns(target="taught", weight=pl.lit(1.0, pl.Float32))
    every = pl.concat([scored.with_columns(domain=pl.lit(REJECTED)), scored])
    where = {"arm": "distilled", "head": "consideration", "domain": domain, "reference": "teacher"}
    table = evaluate(rows, predictions)
    full = evaluate(every, {key: np.tile(p[is_scored], 2) for key, p in predictions.items()})
    error = figure(table, "calibration_error", **where)
    assert error < 0.06
    assert abs(figure(table, "calibration", **where) - figure(full, "calibration", **where)) < 3 * error


def test_without_labels_on_rejected_rows_only_the_truth_speaks_of_all_that_was_scored() -> None:
    rows, predictions = world(3)
    kept = (rows["domain"] != REJECTED).to_numpy()
    fewer = {key: p[kept] for key, p in predictions.items()}
    table = evaluate(rows.filter(kept), fewer)
    assert set(table.filter(pl.col("domain").is_in([SCORED, OWN]))["reference"]) == {"truth"}
    # Of the last stage nothing was rejected: what it scored is labelled, and shown is what it handed on.
    last = evaluate(rows.filter(kept).with_columns(_taught=pl.lit(True)), fewer)
    assert set(last.filter(domain=OWN)["reference"]) == {"teacher", "truth"}
    untold = evaluate(rows.filter(kept).drop("truth"), fewer)
    assert set(untold["domain"]) <= {IMP, CD, EXPLORED}


def test_impressions_and_considered_rows_are_judged_as_without_the_others() -> None:
    rows, predictions = world(5, requests=40)
    before = rows["domain"].is_in([IMP, CD]).to_numpy()
    alone = evaluate(rows.filter(before).drop("propensity"), {key: p[before] for key, p in predictions.items()})
    table = evaluate(rows, predictions).filter(pl.col("domain").is_in([IMP, CD]))
    assert alone["domain"].to_list() == table["domain"].to_list()
    for name, dtype in COLUMNS.items():
        if name in table.columns and dtype == pl.Float64:
            pairs = alone[name].to_list(), table[name].to_list()
            assert pairs[0] == pytest.approx(pairs[1], nan_ok=True), name
    groups = calibration_by_group(rows, predictions)
    assert set(groups["domain"]) == {IMP, CD}


def test_errors_on_its_own_choice_are_those_of_repeated_requests() -> None:
    rows, predictions = world(8, requests=30)
    where = {"arm": "distilled", "head": "consideration", "domain": OWN, "reference": "truth"}
    table = evaluate(rows, predictions, seed=4)
    is_scored = (rows["domain"] == SCORED).to_numpy()
    scored = rows.filter(is_scored)
    p = predictions[SERVED][is_scored].astype(float)
    own = np.array(naive_choice(scored, (scored["bid"].to_numpy().astype(float) * p).tolist()))
    request, truth = scored["request_id"].to_numpy()[own], scored["truth"].to_numpy()[own]
    draws = replicate_weights(pl.Series(range(30)), seed=4)
    drawn = [calibration(p[own], truth, draw[request]) for draw in draws]
    assert figure(table, "calibration_error", **where) == pytest.approx(np.std(drawn, ddof=1))
    assert math.isnan(figure(table, "ne_change", **where))


def test_two_heads_choose_different_rows() -> None:
    slate = pl.DataFrame(
        {
            "request_id": [0, 0],
            "domain": [SCORED, SCORED],
            "target": pl.Series([None, None], dtype=pl.Float32),
            "weight": pl.Series([None, None], dtype=pl.Float32),
            "truth": pl.Series([0.1, 0.4], dtype=pl.Float32),
            "_beyond": [True, False],
        }
    )
    first, second = (np.array(each, np.float32) for each in ([0.3, 0.2], [0.2, 0.3]))
    table = evaluate(slate, {BASELINE: first, SERVED: second}).filter(domain=OWN, reference="truth")
    assert table["calibration"].to_list() == pytest.approx([3.0, 0.75])
    assert table["recall"].to_list() == [0.0, 1.0]
    assert table["value_share"].to_list() == pytest.approx([0.25, 1.0])


def test_of_equals_the_earlier_are_chosen_and_of_few_all() -> None:
    request, inf = np.array([0, 0, 0, 1, 2, 2, 2]), math.inf
    value = np.array([0.5, 0.5, 0.5, 0.1, math.nan, 0.2, -inf])
    chosen = top_of_each(request, value, np.array([2, 2, 2, 3, 2, 2, 2]))
    assert chosen.tolist() == [True, True, False, True, True, True, False]
    assert top_of_each(request, value, np.zeros(7, np.int64)).sum() == 0
    assert top_of_each(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64)).shape == (0,)


def test_explored_rows_weigh_as_much_as_they_stand_for() -> None:
    """Two rows of propensities 1/2 and 1/10: the labels' mean is (2 * 1 + 10 * 0) / 12, whatever came in between."""
    rows = pl.DataFrame(
        {
            "request_id": [0, 1, 2, 3],
            "domain": [IMP, IMP, IMP, CD],
            "target": pl.Series([1, 0, 1, 0.5], dtype=pl.Float32),
            "weight": pl.Series([1.0] * 4, dtype=pl.Float32),
            "explored": [True, True, False, True],
            "propensity": pl.Series([0.5, 0.1, None, 0.5], dtype=pl.Float32),
        }
    )
    p = np.array([0.5, 0.1, 0.9, 0.9], np.float32)
    table = evaluate(rows, {BASELINE: p})
    where = {"arm": "baseline", "head": "impression", "domain": EXPLORED, "reference": "label"}
    assert figure(table, "rows", **where) == 2
    assert figure(table, "positives", **where) == 1
    assert figure(table, "mean_reference", **where) == pytest.approx(2 / 12)
    assert figure(table, "calibration", **where) == pytest.approx((2 * 0.5 + 10 * 0.1) / 2)
    assert figure(table, "effective_rows", **where) == pytest.approx(144 / 104)
    assert EXPLORED not in evaluate(rows.with_columns(explored=pl.lit(False)), {BASELINE: p})["domain"]
