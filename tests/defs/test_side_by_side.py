"""Steps at once in threads: they overlap, wait for what they need, fail, are tried again, are stopped."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.api import create_execution_plan
from dagster._core.storage.tags import PRIORITY_TAG

from tests.fixtures.graph import QUIET, shipped, small, versions
from ukdsl_assets.defs.build import build_defs
from ukdsl_assets.defs.schedules import job_name
from ukdsl_assets.defs.side_by_side import StepThread, executed, first_what_most_waits_for, left_behind
from ukdsl_assets.lake.tables.lake import Lake

DAY = date(2026, 3, 1)
Step = Callable[[dg.OpExecutionContext], None]


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def job_of(left: Step, right: Step, after: Step = lambda _: None) -> dg.JobDefinition:
    """Two steps that wait for none, and one that waits for both."""

    @dg.op(name="left", out=dg.Out(dg.Nothing))
    def of_left(context: dg.OpExecutionContext) -> None:
        left(context)

    @dg.op(name="right", out=dg.Out(dg.Nothing))
    def of_right(context: dg.OpExecutionContext) -> None:
        right(context)

    @dg.op(name="after", ins={"left": dg.In(dg.Nothing), "right": dg.In(dg.Nothing)})
    def of_after(context: dg.OpExecutionContext) -> None:
        after(context)

    @dg.job(partitions_def=dg.DailyPartitionsDefinition(str(DAY)))
    def both() -> None:
        of_after(left=of_left(), right=of_right())

    return both


def ended(done: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Step -> how it ended."""
    return {
        event.step_key or "": event.event_type_value
        for event in done.all_events
        if event.event_type_value in ("STEP_SUCCESS", "STEP_FAILURE", "STEP_SKIPPED")
    }


def test_two_steps_are_under_way_at_once_and_a_third_waits_for_both(instance: dg.DagsterInstance) -> None:
    met, order = threading.Barrier(2, timeout=20), []

    def meets(context: dg.OpExecutionContext) -> None:
        met.wait()  # fails unless both are there
        order.append(context.op.name)

    done = executed(job_of(meets, meets, lambda _: order.append("after")), DAY, 2, instance, QUIET)
    assert done.success
    assert sorted(order[:2]) == ["left", "right"]
    assert order[2:] == ["after"]


def test_of_steps_that_may_start_the_first_is_tagged_so_or_has_the_longest_chain_behind_it() -> None:
    def op(name: str, needs: str = "", **tags: str) -> dg.OpDefinition:
        made = dg.op(name=name, ins={needs: dg.In(dg.Nothing)} if needs else {}, out=dg.Out(dg.Nothing), tags=tags)
        return made(lambda _: None)

    alone, first, second, third = op("alone"), op("first"), op("second", "first"), op("third", "second")
    tagged = op("tagged", **{PRIORITY_TAG: "1"})

    @dg.job
    def some() -> None:
        alone()
        third(second=second(first=first()))
        tagged()

    plan = create_execution_plan(some)
    steps = sorted(plan.get_steps_to_execute_in_topo_order(), key=first_what_most_waits_for(plan))
    assert [step.key for step in steps] == ["tagged", "first", "second", "alone", "third"]


def test_one_step_at_once_is_one_after_the_other_in_this_thread(instance: dg.DagsterInstance) -> None:
    threads: list[threading.Thread] = []

    def step(_: dg.OpExecutionContext) -> None:
        threads.append(threading.current_thread())

    assert executed(job_of(step, step), DAY, 1, instance, QUIET).success
    assert threads == [threading.main_thread()] * 2


def test_a_failed_step_leaves_the_other_alone_and_what_waits_is_skipped(instance: dg.DagsterInstance) -> None:
    def fails(_: dg.OpExecutionContext) -> None:
        raise dg.Failure("wrong rows")

    job = job_of(fails, lambda _: time.sleep(0.3))
    done, one_by_one = (executed(job, DAY, steps, instance, QUIET) for steps in (2, 1))
    assert ended(done) == ended(one_by_one)
    assert ended(done).items() >= {"left": "STEP_FAILURE", "right": "STEP_SUCCESS"}.items()
    assert "STEP_SUCCESS" not in ended(done).get("after", "")
    assert not done.success


def test_a_step_that_asks_is_tried_again(instance: dg.DagsterInstance) -> None:
    tries: list[int] = []

    def again(context: dg.OpExecutionContext) -> None:
        tries.append(context.retry_number)
        if not context.retry_number:
            raise dg.RetryRequested(max_retries=1, seconds_to_wait=0.1)

    assert executed(job_of(again, lambda _: None), DAY, 2, instance, QUIET).success
    assert tries == [0, 1]


def test_a_stop_ends_both_steps_between_two_lines_and_starts_no_other(instance: dg.DagsterInstance) -> None:
    met, finished = threading.Barrier(2, timeout=20), []

    def waits(context: dg.OpExecutionContext) -> None:
        if not met.wait():
            os.kill(os.getpid(), signal.SIGINT)
        for _ in range(2_000):
            time.sleep(0.01)
        finished.append(context.op.name)

    started = time.monotonic()
    done = executed(job_of(waits, waits, lambda _: finished.append("after")), DAY, 2, instance, QUIET)
    assert time.monotonic() - started < 8
    assert not done.success
    assert finished == []
    assert {name: how for name, how in ended(done).items() if how != "STEP_SKIPPED"} == {
        "left": "STEP_FAILURE",
        "right": "STEP_FAILURE",
    }
    assert not left_behind()


def test_a_step_that_no_interrupt_reaches_is_left_behind(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ukdsl_assets.defs.side_by_side.WAIT_SECONDS", 0.3)
    held, released, finished = threading.Event(), threading.Event(), []

    def holds(_: dg.OpExecutionContext) -> None:
        held.set()
        released.wait(20)  # as a query does, it comes back from no interrupt
        finished.append("left")

    def stops(_: dg.OpExecutionContext) -> None:
        held.wait()
        os.kill(os.getpid(), signal.SIGINT)

    done = executed(job_of(holds, stops), DAY, 2, instance, QUIET)
    assert not done.success
    left_behind = next(thread for thread in threading.enumerate() if thread.name == "left")
    released.set()
    left_behind.join(20)
    assert finished == []  # what it would have done next it does not


def test_a_step_that_starts_as_the_run_fails_publishes_nothing_afterwards(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished: list[str] = []

    def publishes(context: dg.OpExecutionContext) -> None:
        time.sleep(0.3)
        finished.append(context.op.name)

    def fails(thread: threading.Thread) -> None:
        if any(isinstance(other, StepThread) for other in threading.enumerate()):
            raise RuntimeError("can't start new thread")
        threading.Thread.start(thread)

    monkeypatch.setattr(StepThread, "start", fails)
    assert not executed(job_of(publishes, publishes), DAY, 2, instance, QUIET).success
    time.sleep(0.5)
    assert finished == []


def test_hooks_are_called_as_steps_end(instance: dg.DagsterInstance) -> None:
    called: list[str] = []

    @dg.success_hook
    def tells(context: dg.HookContext) -> None:
        called.append(context.op.name)

    job = job_of(lambda _: None, lambda _: None).with_hooks({tells})
    assert executed(job, DAY, 2, instance, QUIET).success
    assert sorted(called) == ["after", "left", "right"]


@pytest.mark.slow
def test_a_day_side_by_side_has_the_versions_of_one_step_after_the_other(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    cascade = shipped("simulated_item_page")
    found = []
    for steps in (1, 2):
        settings = small(tmp_path / str(steps))
        job = build_defs(settings, {cascade.name: cascade}).resolve_job_def(job_name(cascade))
        done = executed(job, cascade.first_day, steps, instance, QUIET)
        assert done.success
        found.append(versions(Lake(settings.tables), cascade, cascade.first_day))
    assert len(found[0]) > 10
    assert found[1] == found[0]
