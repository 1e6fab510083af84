"""PostgreSQL keeps Dagster's runs: the example's dagster.yaml, with a real server on loopback."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from ukdsl_assets.defs.home import HomeError, fail_dead_runs, instance, process_tags
from ukdsl_assets.settings import PROJECT

pytestmark = pytest.mark.slow
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [Path("/usr/local/pgsql/bin")]
PASSWORD = "hunter2 / @"


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    """The variables that reach a new server with an empty database; it lets nobody in without the password."""
    pytest.importorskip("dagster_postgres", reason="needs pip install 'ukdsl-assets[postgres]'")
    if (initdb := shutil.which("initdb", path=os.pathsep.join([os.environ["PATH"], str(BINARIES[-1])]))) is None:
        pytest.skip("needs the programs of a PostgreSQL server, such as /usr/lib/postgresql/15/bin/initdb")
    binaries, owner = Path(initdb).parent, _owner()
    with socket.socket() as free, tempfile.TemporaryDirectory(dir="/tmp") as folder:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        free.close()
        shutil.chown(folder, owner)
        secret = Path(folder, "password")
        secret.write_text(PASSWORD)
        secret.chmod(0o644)

        def run(program: str, *arguments: str) -> None:
            command = [str(binaries / program), *arguments]
            subprocess.run(command, check=True, user=owner, cwd=folder, stdout=subprocess.DEVNULL, timeout=120)

        data, how = f"{folder}/data", f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
        run("initdb", "-D", data, "-U", "ukdsl", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync")
        run("pg_ctl", "-D", data, "-o", how, "-l", f"{folder}/log", "-w", "start")
        try:
            yield {
                "DAGSTER_PG_USER": "ukdsl",
                "DAGSTER_PG_PASSWORD": PASSWORD,
                "DAGSTER_PG_HOST": "127.0.0.1",
                "DAGSTER_PG_PORT": port,
                "DAGSTER_PG_DATABASE": "postgres",
            }
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "stop")


def _owner() -> str:
    """Who the server runs as, which may not be root."""
    return "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def home(server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copyfile(PROJECT / "examples" / "postgres" / "dagster.yaml", tmp_path / "dagster.yaml")
    for name, value in (server | {"DAGSTER_HOME": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    return tmp_path


def test_runs_are_kept_and_dead_ones_failed_as_in_files(home: Path) -> None:
    @dg.job
    def nothing() -> None: ...

    with instance() as opened:
        assert type(opened.run_storage).__name__ == "PostgresRunStorage"
        assert nothing.execute_in_process(instance=opened, tags=process_tags()).success
        dead = opened.create_run_for_job(
            nothing,
            tags=process_tags() | {"ukdsl/process_started": "an earlier boot 1"},
            status=dg.DagsterRunStatus.STARTED,
        )
        assert fail_dead_runs(opened) == [dead.run_id]
    with instance() as again:
        assert sorted(run.status.value for run in again.get_runs()) == ["FAILURE", "SUCCESS"]


def test_a_wrong_password_is_told_without_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", "hunter3")
    with pytest.raises(HomeError, match="password authentication failed") as raised, instance():
        pass
    assert "hunter" not in str(raised.value)
    assert "history" not in str(raised.value), "there are no files to move away"
