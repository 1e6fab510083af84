"""`ukdsl serve` as it is typed: what it loads, how it starts and stops, and what it refuses."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fixtures.browser import free_port
from tests.fixtures.http_server import ask, until
from tests.fixtures.served_pages import CASCADE, NAME, page_bodies
from ukdsl_assets.cli.app import app
from ukdsl_assets.serving.http.server import is_loopback, plan_of, static_pages
from ukdsl_assets.settings import PROJECT, Settings

_LOADED = """
import sys
from ukdsl_assets.cli.app import app
import ukdsl_assets.serving.http.server as server
def stand_in(plan, host, port):
    app, service, follower = server.built(plan)
    follower.look()
    assert service.models.ready
    heavy = ["dagster", "deltalake", "duckdb", "torch", "polars", "sqlglot", "lightgbm", "numba", "scipy"]
    print([name for name in heavy if name in sys.modules])
    print(__import__("time").process_time())
server.serve = stand_in
app(["serve", sys.argv[1]], standalone_mode=False)
"""


@contextmanager
def started(lake: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The command in a process of its own, once it is ready, and its port."""
    port = free_port()
    command = [sys.executable, "-m", "ukdsl_assets", "serve", NAME, "--port", str(port), *options]
    variables = os.environ | {"UKDSL_LAKE": str(lake)}
    child = subprocess.Popen(
        command, env=variables, cwd=PROJECT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        until(lambda: child.poll() is not None or is_ready(port))
        yield child, port
    finally:
        if child.poll() is None:
            child.kill()
        child.communicate()


def is_ready(port: int) -> bool:
    try:
        return ask(port, "GET", "/ready").status == 200
    except OSError:
        return False


@pytest.mark.slow
def test_the_server_starts_within_two_seconds_of_cpu_and_loads_nothing_heavy(exported: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, NAME],
        env=os.environ | {"UKDSL_LAKE": str(exported)},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    *_, loaded, seconds = done.stdout.splitlines()

    assert loaded == "[]"
    # 1.3 on an idle machine; a busy one takes longer for the same.
    assert float(seconds) < 4


@pytest.mark.slow
def test_asked_to_stop_it_answers_what_is_under_way_and_writes_the_logs(exported: Path, tmp_path: Path) -> None:
    bodies, statuses, sent = page_bodies(200), list[int](), threading.Event()
    with started(exported, "--write-logs", str(tmp_path), "--page-ms", "20000") as (child, port):

        def keep_asking(part: int) -> None:
            for body in bodies[part::4]:
                try:
                    reply = ask(port, "POST", f"/rank/{NAME}", body)
                except ConnectionError:
                    # It listens no more, or the system had taken the connection in for it, and it never saw it.
                    return
                statuses.append(reply.status if reply.json["logged"] else 0)
                sent.set()

        threads = [threading.Thread(target=keep_asking, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        sent.wait(30)
        child.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        said, _ = child.communicate(timeout=30)

    assert child.returncode in (0, -signal.SIGTERM), said
    assert set(statuses) == {200}
    import polars as pl

    written = pl.read_parquet(f"{tmp_path}/{NAME}/candidate_log/**/*.parquet")
    assert written["request_id"].n_unique() == len(statuses)
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["simulated_item_pag"], "did you mean `simulated_item_page`"),
        ([f"{NAME}/module_clik"], "did you mean `module_click`"),
        ([f"{NAME}/"], "no student ``"),
        (["simulated_ads", "--write-logs", "logs"], "3 stages"),
    ],
)
def test_what_cannot_be_served_is_told_before_anything_starts(arguments: list[str], told: str) -> None:
    from ukdsl_assets.errors import DeclarationError

    with pytest.raises(DeclarationError) as refused:
        app(["serve", *arguments], standalone_mode=False)
    assert told in str(refused.value)


def test_a_port_that_is_taken_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    from ukdsl_assets.errors import DeclarationError

    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(DeclarationError, match="choose another --port"),
    ):
        app(["serve", NAME, "--port", str(taken.getsockname()[1])], standalone_mode=False)


@pytest.mark.parametrize(
    ("host", "alone"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)]
)
def test_only_loopback_is_not_told_of(host: str, alone: bool) -> None:
    assert is_loopback(host) == alone


def test_a_page_that_needs_a_student_that_is_not_served_is_told() -> None:
    plans = {served: plan_of(Settings(), {NAME: CASCADE}, [served]) for served in (NAME, f"{NAME}/module_click")}
    assert static_pages(plans[NAME]) == []
    (told,) = static_pages(plans[f"{NAME}/module_click"])
    assert "they need module_purchase too" in told
