"""Fixtures that several folders of tests share."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings

from tests.fixtures.command_line import at, in_own_process, shop_in
from tests.fixtures.once import once
from tests.fixtures.shop import DAY
from ukdsl_assets.declaration.read import SHIPPED, read_cascade

# Processes of tests share the cores: a thread that waits for others shall sleep, not count. OpenMP reads it once, when
# torch or LightGBM is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# A busy machine is no failure.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def warm_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of small simulated_ads before its first day, which takes a long warm-up; to be read or copied."""
    from ukdsl_assets.logs.sources.simulated_ads import SimulatedAdsReader

    def warm_up(folder: Path) -> None:
        cascade = read_cascade(SHIPPED / "simulated_ads.yaml")
        SimulatedAdsReader(cascade, str(folder), "small").read(cascade.first_day)

    return once(tmp_path_factory, "warm_state", warm_up)


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose day was run from a terminal, to be read: its evaluation is in out.json, what was said in said.json.

    Its report alone may be made again.
    """

    def run(folder: Path) -> None:
        arguments = ("run", "shop", "--days", str(DAY), "--json", str(folder / "out.json"))
        done = in_own_process(*arguments, **at(shop_in(folder)))
        (folder / "said.json").write_text(json.dumps(asdict(done)))

    return once(tmp_path_factory, "ran_shop", run)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """URI of an empty bucket of a real S3 server (moto) on loopback, with the environment that reaches it."""
    moto_server = pytest.importorskip("moto.server", reason="needs pip install 'moto[server]' s3fs")
    s3fs = pytest.importorskip("s3fs", reason="needs pip install 'moto[server]' s3fs")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "NO_PROXY": host,
        }.items():
            environment.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        # The server keeps its buckets for the life of the process.
        name = f"lake-{uuid4().hex}"
        s3fs.S3FileSystem().mkdir(name)
        yield f"s3://{name}"
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()
