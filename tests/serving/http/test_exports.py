"""Files of versions: one that cannot be kept is given all the same, and the server's end ends an export."""

from pathlib import Path

import pytest

from tests.fixtures.served_pages import FIRST, NAME, checkpoint_of
from ukdsl_assets.errors import ScoringError
from ukdsl_assets.serving.http.exports import FOLDER, Exports


@pytest.mark.slow
def test_an_export_that_cannot_be_kept_is_given_all_the_same(lake: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = (lake / FOLDER).rename(lake / "kept")
    # Nothing can be written below a file.
    (lake / FOLDER).write_text("")
    version = checkpoint_of(lake, "module_click", FIRST).version

    content = Exports(str(lake)).make(NAME, "module_click", version)

    # The file's bytes are those that were exported before.
    assert len(content) == (kept / NAME / "module_click" / f"{version}.onnx").stat().st_size
    assert "is not kept" in caplog.text


def test_an_export_is_ended_where_the_server_stops(lake: Path) -> None:
    exports = Exports(str(lake))
    exports.stop.set()

    with pytest.raises(ScoringError, match="asked to stop"):
        exports.make(NAME, "module_click", "0" * 16)
