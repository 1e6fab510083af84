"""A lake in an object store is followed as a local one is, and logs are written there."""

from pathlib import Path

import fsspec
import pytest

from tests.fixtures.http_server import serving, until
from tests.fixtures.released import store_of
from tests.fixtures.served_pages import NAME, SECOND, checkpoint_of, page_bodies

pytestmark = pytest.mark.slow


def test_releases_files_and_logs_in_a_store(exported: Path, bucket: str) -> None:
    lake = f"{bucket}/lake"
    files, root = fsspec.core.url_to_fs(lake)
    files.put(f"{exported}/", root, recursive=True)
    second = checkpoint_of(exported, "module_click", SECOND)

    with serving(lake, write_logs=f"{bucket}/logs") as served:  # type: ignore[arg-type]
        assert served.rank(page_bodies(1)[0]).json["logged"]
        entry = {"day": str(SECOND), "arm": "distilled", "checkpoint": second.version}
        store_of(lake).release((NAME, "module_click"), entry)  # type: ignore[arg-type]
        until(lambda: served.service.models.current[NAME, "module_click"].version == second.version)

    assert len(files.glob(f"{bucket}/logs/{NAME}/candidate_log/day=*/part-*.parquet")) == 1
