"""A day on paper is what multiplication says, and fits a terminal."""

import json
import sys
from dataclasses import replace

import pytest

from benchmarks import scale, terabyte
from benchmarks.terabyte import Cluster, breaks, costs_of, estimate

# CPU seconds a row: 1e9 rows are 1, 2 and 1 core-hours.
COSTS = {"logs": 3.6e-6, "tables": 7.2e-6, "training": 3.6e-6}
ONE = Cluster(augmented=1.0, factor=1.0, price=1.0, cores=10, hours=1.0)


def test_core_hours_are_rows_times_cost() -> None:
    of_day = estimate(1e9, COSTS, ONE)
    assert [round(step.core_hours, 9) for step in of_day.steps] == [1.0, 2.0, 1.0]
    assert of_day.core_hours == pytest.approx(4.0)
    assert of_day.nodes == 1
    # Logs and tables on ten cores, and training on one.
    assert of_day.hours == pytest.approx(0.1 + 0.2 + 1.0)
    assert of_day.serial == pytest.approx(1.0)
    assert of_day.hours_by_shard == pytest.approx(0.4)
    assert (of_day.work, of_day.held) == pytest.approx((4.0, 13.0))


def test_twice_the_rows_are_twice_the_work() -> None:
    one, two = estimate(1e10, COSTS, Cluster()), estimate(2e10, COSTS, Cluster())
    assert two.core_hours == pytest.approx(2 * one.core_hours)
    assert two.work == pytest.approx(2 * one.work)
    assert two.serial == pytest.approx(2 * one.serial)


def test_only_what_is_made_of_augmented_rows_grows_with_them() -> None:
    one, more = (estimate(1e9, COSTS, replace(ONE, augmented=rows)).steps for rows in (1.0, 1.5))
    assert [later.core_hours / sooner.core_hours for sooner, later in zip(one, more, strict=True)] == pytest.approx(
        [1.0, 1.5, 1.5]
    )


def test_the_factor_is_of_work_by_shard_and_of_money() -> None:
    one, twice = estimate(1e9, COSTS, ONE), estimate(1e9, COSTS, replace(ONE, factor=2.0))
    assert twice.with_factor == pytest.approx(2 * one.with_factor)
    assert twice.work == pytest.approx(2 * one.work)
    assert twice.serial == pytest.approx(one.serial)
    assert estimate(1e9, COSTS, replace(ONE, price=3.0)).work == pytest.approx(3 * one.work)


def test_nodes_are_whole_and_enough_for_the_hours() -> None:
    for hours in (0.1, 0.3, 1.0, 7.0):
        of_day = estimate(1e9, COSTS, replace(ONE, hours=hours))
        assert of_day.hours_by_shard <= hours * (1 + 1e-9)
        assert of_day.nodes == 1 or 4.0 / ((of_day.nodes - 1) * 10) > hours


def test_a_commit_takes_what_was_measured_where_it_was() -> None:
    assert [terabyte.seconds_of_a_commit(files) for files, _ in terabyte.COMMITS] == pytest.approx([1.0, 9.4])
    assert terabyte.seconds_of_a_commit(1) >= 0


def test_what_breaks_is_in_order_and_has_its_figure() -> None:
    of_day = estimate(1e9, COSTS, ONE)
    found = breaks(1e9, of_day, replace(ONE, augmented=1.25, shards=1000, days=64, files=500))
    assert [name for name, _, _ in found] == [
        "training",
        "memory of boosted-tree teachers on all rows",
        "the commit of many files",
        "the Delta log",
        "the exchange of the logs",
    ]
    assert found[0][1].startswith("0.5 h an arm")
    assert f"{0.25e9 * terabyte.bytes_of_a_tree_row() / 2**30:,.0f} GiB" in found[1][1]
    assert found[3][1].startswith("2 s to open")
    assert found[4][1].endswith("1.0 million requests of a store")


def test_what_was_measured_is_what_scale_writes() -> None:
    measured = json.loads(terabyte.MEASURED.read_text())
    assert set(terabyte.BY_SHARD) < set(scale.STEPS)
    figures = {step: {"rows": 10, "cpu": 0.5, "peak": 1.0} for step in scale.STEPS}
    written = scale.kept({1: figures, 4: {step: {**each, "cpu": 1.0} for step, each in figures.items()}})
    assert set(written) == set(measured)
    assert list(costs_of(measured)) == list(scale.STEPS)
    assert costs_of(json.loads(json.dumps(written))) == dict.fromkeys(scale.STEPS, 0.1)


def printed(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["terabyte", *arguments])
    terabyte.main()
    return capsys.readouterr().out


def test_it_fits_a_terminal_and_says_what_dominates(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for rows in ("8.2e9", "8.2e11"):
        shown = printed(["--rows", rows], monkeypatch, capsys)
        assert max(map(len, shown.splitlines())) <= 80
        assert "…" not in shown
        assert "tables take most of it" in " ".join(shown.split())


def test_json_has_what_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = (json.loads(printed(["--json", "--rows", rows], monkeypatch, capsys)) for rows in ("1e9", "2e9"))
    assert one["dominates"] == "tables"
    assert len(one["breaks"]) == 5
    assert two["core_hours"] == pytest.approx(2 * one["core_hours"])
    assert one["measured"]["command"].startswith("python -m benchmarks.scale")


@pytest.mark.parametrize("arguments", [["--rows", "0"], ["--factor", "nan"], ["--cores", "0"]])
def test_what_is_no_amount_is_refused(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["terabyte", *arguments])
    with pytest.raises(SystemExit, match="2"):
        terabyte.main()
