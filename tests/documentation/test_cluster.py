"""The files of examples/cluster are whole, agree with each other, and name the versions that the package asks for."""

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.ref import InstanceRef
from packaging.requirements import Requirement

import ukdsl_assets
from documentation.reading import blocks, documents
from tests.documentation.test_blocks import commands_of, complaint
from ukdsl_assets.engines.engine import lost
from ukdsl_assets.engines.open import open_engine
from ukdsl_assets.errors import EngineError
from ukdsl_assets.settings import PROJECT, Settings

FILES = PROJECT / "examples" / "cluster"
PAGE = "docs/how-to/cluster.md"
IMAGE = f"registry.example.org/ukdsl:{ukdsl_assets.__version__}"


def of_the_package(name: str) -> str:
    """The one version that pyproject.toml takes of a library."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = [each for listed in project["optional-dependencies"].values() for each in listed]
    [found] = {str(each.specifier) for each in map(Requirement, extras) if each.name == name}
    assert found.startswith("==")
    return found.removeprefix("==")


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((FILES / name).read_text())


def containers(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [each for group in groups for each in group["template"]["spec"]["containers"]]


@pytest.mark.parametrize("file", sorted(FILES.glob("*.yaml")), ids=lambda file: file.name)
def test_each_file_is_yaml_that_the_page_names(file: Path) -> None:
    assert isinstance(yaml.safe_load(file.read_text()), dict)
    assert f"`{file.name}`" in documents()[PAGE]


def test_the_job_makes_the_cluster_that_stays() -> None:
    cluster, job = read("raycluster.yaml"), read("rayjob.yaml")
    assert (cluster["apiVersion"], cluster["kind"]) == (job["apiVersion"], "RayCluster") == ("ray.io/v1", "RayCluster")
    assert job["kind"] == "RayJob"
    assert job["spec"]["rayClusterSpec"] == cluster["spec"]


def test_versions_are_those_of_the_package() -> None:
    ray = of_the_package("ray")
    cluster = read("raycluster.yaml")["spec"]
    assert cluster["rayVersion"] == ray
    assert {each["image"] for each in containers(cluster)} == {IMAGE}
    image = (FILES / "Dockerfile").read_text()
    assert f"ARG VERSION={ukdsl_assets.__version__}\n" in image
    assert IMAGE in image
    named = [*(FILES.iterdir()), PROJECT / PAGE]
    assert {found for file in named for found in re.findall(r"ray\[\w+\]==([\d.]+)", file.read_text())} == {ray}
    assert len({found for file in named for found in re.findall(r"dagster-ray==([\d.]+)", file.read_text())}) == 1
    assert set(re.findall(r"registry\.example\.org/ukdsl:[\w.]+", documents()[PAGE])) == {IMAGE}
    assert f"\nray=={ray}\n" in (PROJECT / "constraints.txt").read_text()


def test_the_image_installs_what_there_is_under_the_pinned_versions() -> None:
    image = (FILES / "Dockerfile").read_text()
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    [extras] = re.findall(r"none-any\.whl\[([\w,]+)\]", image)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    for copied in re.findall(r"^COPY (?:--\S+ )*(\S+)", image, re.M):
        assert "$" in copied or (PROJECT / copied).exists()
    [python] = re.findall(r"^FROM python:(\d\.\d+)", image, re.M)
    assert f"Programming Language :: Python :: {python}" in project["classifiers"]


def test_settings_of_the_run_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    head, *workers = containers(read("raycluster.yaml")["spec"])
    for each in head["env"]:
        if each["name"].startswith("UKDSL_"):
            assert each["name"].removeprefix("UKDSL_").lower() in Settings.model_fields
            monkeypatch.setenv(each["name"], each["value"])
    settings = Settings()
    assert settings.engine == "auto"
    assert is_known(settings.engine)
    assert "://" in settings.lake
    # Every node has the keys, room for temporary files, and says where.
    for each in (head, *workers):
        assert {"name": "TMPDIR", "value": "/scratch"} in each["env"]
        assert each["envFrom"] == head["envFrom"]
        assert [mount["mountPath"] for mount in each["volumeMounts"]] == ["/scratch"]


def test_the_job_runs_a_command_that_there_is() -> None:
    entrypoint = read("rayjob.yaml")["spec"]["entrypoint"]
    [shell] = re.findall(r"^bash -c '(.*)'$", entrypoint)
    [words] = commands_of(shell)
    assert words[0] == "run"
    assert not complaint(words)


def test_dagster_takes_its_file_and_launches_on_the_cluster(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text((FILES / "dagster.yaml").read_text())
    launcher = InstanceRef.from_dir(str(tmp_path)).run_launcher_data
    assert launcher is not None
    assert (launcher.module_name, launcher.class_name) == ("dagster_ray", "RayRunLauncher")
    address = yaml.safe_load(launcher.config_yaml)["ray"]["address"]
    # KubeRay names the head's service after the cluster.
    assert address == f"http://{read('raycluster.yaml')['metadata']['name']}-head-svc:8265"
    storage = yaml.safe_load((PROJECT / "examples" / "postgres" / "dagster.yaml").read_text())["storage"]
    assert read("dagster.yaml")["storage"] == storage


def test_the_page_quotes_the_messages_as_they_are() -> None:
    page = documents()[PAGE]
    said = str(lost("shop/considerations, day 2026-03-01", 0, 4, "..."))
    assert f"`{said}`" in page


def is_known(name: str) -> bool:
    """Whether it names an engine; those of a cluster open where Ray is installed alone."""
    try:
        open_engine(name)
    except EngineError as error:
        return find_spec("ray") is None and "needs Ray" in str(error)
    return True


def test_the_page_has_every_name_of_an_engine_and_no_other() -> None:
    [table] = re.findall(r"^\| `UKDSL_ENGINE` .*?\n\n", documents()[PAGE], re.M | re.S)
    names = re.findall(r"`([^`]+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:-1]))
    assert len(names) == 5
    assert all(map(is_known, names))
    shells = "\n".join(block.text for block in blocks(documents()[PAGE]) if block.language == "sh")
    assert all(map(is_known, re.findall(r"UKDSL_ENGINE=(\S+)", shells)))
