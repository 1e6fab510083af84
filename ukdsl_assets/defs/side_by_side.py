"""Steps of a run that wait for no other side by side, in threads of the run's process.

Dagster makes them one after the other, or each in a process of its own that loads every library anew: 9 CPU seconds
a step. What a step spends its time in (DuckDB, polars, torch, compression) leaves the interpreter to other threads, so
two steps keep 1.6 of two cores busy where one keeps 1.3 (a default day of simulated_ads, issue 16). Of what they
share, the lake takes concurrent runs, and what is the process's (torch's random numbers, matplotlib's settings) is
locked where it is used.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import date
from queue import Empty, SimpleQueue
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.compute_logs import create_compute_log_file_key
from dagster._core.execution.context.system import (
    PlanExecutionContext,
    PlanOrchestrationContext,
    StepExecutionContext,
)
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.execute_in_process import core_execute_in_process, merge_run_tags
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.execute_plan import _trigger_hook, dagster_event_sequence_for_step
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.base import Executor
from dagster._core.storage.tags import PRIORITY_TAG
from dagster._utils.error import serializable_error_info_from_exc_info

from ukdsl_assets.defs.stops import Stop

# An interrupt, which only sets a flag of Dagster's, is noticed so soon.
LOOK_EVERY_SECONDS = 0.1
# A thread is interrupted between two lines of Python; one that is in a query for longer than this is left behind, and
# publishes nothing.
WAIT_SECONDS = 10.0
# The default of 5 ms is what a step that calls many short kernels would wait for the other step after each.
SWITCH_SECONDS = 0.0005

# What a step's thread tells: an event; or, at its end, None or the error that ends the run.
Told = tuple[str, DagsterEvent | BaseException | None]


def executed(
    job: dg.JobDefinition,
    day: date,
    steps: int,
    instance: dg.DagsterInstance,
    run_config: Mapping[str, Any],
    tags: Mapping[str, str] | None = None,
) -> dg.ExecuteInProcessResult:
    """`job.execute_in_process` of a day, but for the steps at once; failures are in the result, not raised.

    Args:
        steps: at most so many at once.
    """
    partition_key = day.isoformat()
    if steps == 1:
        return job.execute_in_process(
            partition_key=partition_key, instance=instance, raise_on_error=False, run_config=run_config, tags=tags
        )
    mine = job.as_ephemeral_job(resource_defs={}, input_values={}).with_executor_def(side_by_side(steps))
    return core_execute_in_process(
        job=InMemoryJob(mine),
        run_config=run_config,
        instance=instance,
        output_capturing_enabled=True,
        raise_on_error=False,
        run_tags=merge_run_tags(
            job_def=job,
            partition_key=partition_key,
            tags=tags,
            asset_selection=[],
            instance=instance,
            run_config=run_config,
        ),
        asset_selection=frozenset(),
    )


def side_by_side(steps: int) -> dg.ExecutorDefinition:
    """The executor that makes up to so many steps at once."""

    @dg.executor(name="side_by_side")
    def made(_context: dg.InitExecutorContext) -> Executor:
        return SideBySide(steps)

    return made


class SideBySide(Executor):
    """Dagster's in-process executor but for the steps, of which up to `steps` are made at once."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    @property
    def retries(self) -> RetryMode:
        """A step may ask to be tried again."""
        return RetryMode.ENABLED

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """The events of all steps, as they come. A stop as asked raises DagsterExecutionInterruptedError."""
        yield from ExecuteRunWithPlanIterable(
            execution_plan=plan_context.execution_plan,
            iterator=self._events,
            execution_context_manager=PlanExecutionContextManager(
                job=plan_context.job,
                retry_mode=plan_context.retry_mode,
                execution_plan=plan_context.execution_plan,
                run_config=plan_context.run_config,
                dagster_run=plan_context.dagster_run,
                instance=plan_context.instance,
                raise_on_error=plan_context.raise_on_error,
                output_capture=plan_context.output_capture,
                step_dependency_config=self.step_dependency_config,
            ),
        )

    def _events(self, job_context: PlanExecutionContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        with InstanceConcurrencyContext(job_context.instance, job_context.dagster_run) as limits, ExitStack() as kept:
            yield from _capture(job_context, execution_plan, kept)
            stop = Stop()
            with (
                _short_turns(),
                stop.for_steps(),
                execution_plan.start(
                    retry_mode=job_context.retry_mode,
                    sort_key_fn=first_what_most_waits_for(execution_plan),
                    max_concurrent=self._steps,
                    instance_concurrency_context=limits,
                    step_dependency_config=job_context.step_dependency_config,
                ) as active,
            ):
                yield from _made(job_context, active, stop)
            try:
                kept.close()
            except Exception:
                yield _not_kept(job_context)


def first_what_most_waits_for(plan: ExecutionPlan) -> Callable[[ExecutionStep], float]:
    """Sorts steps that may start: by Dagster's priority tag, the highest first, then by the longest chain that waits.

    Two that end a run side by side end it sooner than one after the other (.4 of 12 s, by a default day's steps).
    """
    needs, chain = plan.get_executable_step_deps(), dict.fromkeys(plan.get_executable_step_deps(), 0)
    for step in reversed(plan.get_steps_to_execute_in_topo_order()):
        for needed in needs[step.key]:
            chain[needed] = max(chain[needed], chain[step.key] + 1)

    def place(step: ExecutionStep) -> float:
        priority = int(step.tags.get(PRIORITY_TAG, 0))
        # No chain is as long as there are steps.
        return -(priority * len(chain) + chain.get(step.key, 0))

    return place


def _capture(job: PlanExecutionContext, plan: ExecutionPlan, kept: ExitStack) -> Iterator[DagsterEvent]:
    """From now until `kept` closes, what the process prints is kept with the run; a run goes on without that."""
    try:
        logs = job.instance.compute_log_manager
        key = logs.build_log_key_for_run(job.run_id, create_compute_log_file_key())
        log = kept.enter_context(logs.capture_logs(key))
        yield DagsterEvent.capture_logs(job, [step.key for step in plan.get_steps_to_execute_in_topo_order()], key, log)
    except Exception:
        yield _not_kept(job)


def _not_kept(job: PlanExecutionContext) -> DagsterEvent:
    error = EngineEventData.engine_error(serializable_error_info_from_exc_info(sys.exc_info()))
    return DagsterEvent.engine_event(job, "What the steps print is not kept with the run", error)


@contextmanager
def _short_turns() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _made(job: PlanExecutionContext, active: ActiveExecution, stop: Stop) -> Iterator[DagsterEvent]:
    """Start each step as soon as it may be, and pass events on as threads tell them."""
    told: SimpleQueue[Told] = SimpleQueue()
    threads: dict[str, StepThread] = {}
    errors: list[BaseException] = []
    gives_up_at: float | None = None
    try:
        while threads or not (active.is_complete or errors or gives_up_at):
            if active.check_for_interrupts():
                gives_up_at = gives_up_at or time.monotonic() + WAIT_SECONDS
                yield DagsterEvent.engine_event(job, "Stopped as asked", EngineEventData.interrupted(list(threads)))
                stop.ask()
            if gives_up_at is not None and time.monotonic() > gives_up_at:
                break
            if not (errors or gives_up_at):
                for step in active.get_steps_to_execute():
                    threads[step.key] = StepThread(job.for_step(step, active.get_known_state()), told)
                    threads[step.key].start()
                yield from active.concurrency_event_iterator(job)
                yield from active.plan_events_iterator(job)
            try:
                key, event_or_end = told.get(timeout=LOOK_EVERY_SECONDS)
            except Empty:
                continue
            if isinstance(event_or_end, DagsterEvent):
                yield event_or_end
                active.handle_event(event_or_end)
                threads[key].events.append(event_or_end)
                continue
            thread = threads.pop(key)
            thread.join()
            if event_or_end is None:
                active.verify_complete(job, key)
                yield from _trigger_hook(thread.context, thread.events)
            else:
                errors.append(event_or_end)
    finally:
        # Nothing is published after the run has ended, however it ends.
        stop.ask()
        until = gives_up_at or time.monotonic() + WAIT_SECONDS
        for thread in threads.values():
            thread.join_until(until)
    if gives_up_at is not None:
        raise DagsterExecutionInterruptedError
    if errors:
        raise errors[0]


def left_behind() -> bool:
    """Whether a step's thread goes on after its run, in a library's code."""
    return any(isinstance(thread, StepThread) for thread in threading.enumerate())


class StepThread(threading.Thread):
    """A step's thread, which tells its events and at last its end; a daemon, so that it ends with the process."""

    def __init__(self, context: StepExecutionContext, told: "SimpleQueue[Told]") -> None:
        super().__init__(name=context.step.key, daemon=True)
        self.context, self._told = context, told
        self.events: list[DagsterEvent] = []

    def run(self) -> None:
        """What the interpreter calls."""
        end: BaseException | None = None
        try:
            for event in dagster_event_sequence_for_step(self.context):
                self._told.put((self.context.step.key, event))
        except BaseException as error:
            end = error
        self._told.put((self.context.step.key, end))

    def join_until(self, moment: float) -> None:
        """Wait for its end, if it has begun, until a moment of the monotonic clock."""
        if self.ident is not None:
            self.join(max(moment - time.monotonic(), 0))
