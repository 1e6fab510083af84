"""The app under Ray Serve, on a cluster that is simulated in processes of this machine."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.browser import free_port
from tests.fixtures.http_server import ask, until
from tests.fixtures.released import release
from tests.fixtures.served_pages import NAME, SECOND, checkpoint_of, page_bodies
from ukdsl_assets.errors import DeclarationError
from ukdsl_assets.settings import PROJECT

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(lake: Path) -> Iterator[Any]:
    """Two nodes, and Ray Serve on a port of its own."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'ukdsl-assets[ray]'")
    serve = pytest.importorskip(
        "ray.serve", reason="Ray Serve is not installed: pip install 'ray[serve]'", exc_type=ImportError
    )
    import ray
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    port = free_port()
    variables = {"UKDSL_LAKE": str(lake), "PYTHONPATH": f"{PROJECT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    ray.init(address=nodes.address, runtime_env={"env_vars": variables}, log_to_driver=False, logging_level="ERROR")
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    try:
        yield serve, port
    finally:
        serve.shutdown()
        ray.shutdown()
        nodes.shutdown()


def test_replicas_on_two_nodes_answer_alike_and_follow_the_pointer(cluster: Any, lake: Path) -> None:
    from ukdsl_assets.serving.http.ray_serve import application

    serve, port = cluster
    options = {"serve": NAME, "replicas": "2", "cpus": "0.5", "reload_seconds": "0.5", "page_ms": "20000"}
    serve.run(application(options), route_prefix="/")

    def answers() -> set[tuple[str, ...]]:
        """Versions and order of the same page, asked often enough that both replicas answer."""
        replies = [ask(port, "POST", f"/rank/{NAME}", page_bodies(1)[0]).json for _ in range(12)]
        return {
            (str(reply["versions"].get("module_click")), *(str(each["candidate_id"]) for each in reply["order"]))
            for reply in replies
        }

    first = checkpoint_of(lake, "module_click", SECOND)
    until(lambda: len(seen := answers()) == 1 and "None" not in next(iter(seen)), 120)
    (before,) = answers()
    release(lake, first)
    until(lambda: {each[0] for each in answers()} == {first.version}, 60)
    assert before[0] != first.version
    assert ask(port, "GET", "/ready").status == 200


@pytest.mark.parametrize("arguments", [{}, {"serve": NAME, "replica": "2"}])
def test_options_that_there_are_not_are_told_with_those_that_there_are(arguments: dict[str, str]) -> None:
    pytest.importorskip(
        "ray.serve", reason="Ray Serve is not installed: pip install 'ray[serve]'", exc_type=ImportError
    )
    from ukdsl_assets.serving.http.ray_serve import application

    with pytest.raises(DeclarationError, match="replicas"):
        application(arguments)
