"""Every file of a folder is read, is its writer's own, or is named."""

import os
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from ukdsl_assets.frames.files import FoundFiles, files_of_rows

ROWS = [
    "part-0.parquet",
    "part-1.PARQUET",
    "part-2.parq",
    "hour=01/part-0.pq",
    "00/15/a.snappy.parquet",
    "x.parquet/p.parquet",
]
WRITERS = [
    "_SUCCESS",
    ".part-3.parquet",
    "_part-3.parquet",
    "part-0.parquet.crc",
    "hour=01_$folder$",
    "_temporary/0/p.parquet",
]
STRANGE = ["part-0.snappy", "part-1.parquet.gz", "part-2.csv", "000000_0", "hour=01/README"]


def made(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(folder: Path) -> FoundFiles:
    return files_of_rows(LocalFileSystem(), str(folder))


def test_files_of_rows_are_found_in_folders_by_path_and_those_of_writers_left(tmp_path: Path) -> None:
    made(tmp_path, ROWS + WRITERS)
    assert found(tmp_path) == FoundFiles(sorted(str(tmp_path / name) for name in ROWS), [])
    assert found(tmp_path).refusal == ""


@pytest.mark.parametrize("name", STRANGE)
def test_a_file_of_no_known_kind_is_named(tmp_path: Path, name: str) -> None:
    seen = found(made(tmp_path, [*ROWS, name]))
    assert seen.refused == [name]
    assert f"1 file(s) that would not be read: {name}; expected Parquet files" in seen.refusal


def test_names_are_no_patterns_and_an_empty_folder_has_nothing(tmp_path: Path) -> None:
    folder = made(tmp_path, ["run1/p.parquet", "run[1]/q*.parquet", "?/r.parquet"])
    assert [Path(each).name for each in found(folder / "run[1]").read] == ["q*.parquet"]
    assert [Path(each).name for each in found(folder / "?").read] == ["r.parquet"]
    (folder / "empty").mkdir()
    assert found(folder / "empty") == FoundFiles([], [])


def test_pipes_and_links_to_nothing_are_named_and_other_links_followed(tmp_path: Path) -> None:
    folder = made(tmp_path / "day", ["part-0.parquet"])
    os.mkfifo(folder / "pipe.parquet")
    (folder / "dangling.parquet").symlink_to("/nowhere")
    (folder / "itself.parquet").symlink_to("itself.parquet")
    (folder / "linked.parquet").symlink_to(made(tmp_path / "elsewhere", ["other.parquet"]) / "other.parquet")
    (folder / "hour=01").symlink_to(tmp_path / "elsewhere")
    seen = found(folder)
    assert [each.split(" ")[0] for each in seen.refused] == ["dangling.parquet", "itself.parquet", "pipe.parquet"]
    names = [str(Path(each).relative_to(folder)) for each in seen.read]
    assert names == ["hour=01/other.parquet", "linked.parquet", "part-0.parquet"]


def test_a_link_to_a_folder_above_ends(tmp_path: Path) -> None:
    (made(tmp_path, ["part-0.parquet"]) / "loop").symlink_to(tmp_path)
    assert found(tmp_path).refused == [
        "loop/loop/loop/loop/loop/ (more than 4 folders deep, or a link to a folder above)"
    ]


def test_a_message_names_a_few_files_and_counts_the_others(tmp_path: Path) -> None:
    refusal = found(made(tmp_path, [f"{index}.csv" for index in range(8)])).refusal
    assert "8 file(s)" in refusal
    assert "4.csv; and 3 more" in refusal


def test_the_rule_is_the_same_in_a_store_that_has_no_folders() -> None:
    store = MemoryFileSystem()
    for name in [*ROWS, *WRITERS, *STRANGE]:
        store.pipe(f"/found/{name}", b"")
    seen = files_of_rows(store, "/found")
    store.rm("/found", recursive=True)
    assert seen.read == sorted(f"/found/{name}" for name in ROWS)
    assert [each.split(" ")[0] for each in seen.refused] == sorted(STRANGE)


@pytest.mark.parametrize("name", [b"p\xff.parquet", b"h\xff/p.parquet", b"p\xff.csv"])
def test_a_name_that_no_reader_of_parquet_takes_is_named(tmp_path: Path, name: bytes) -> None:
    try:
        made(tmp_path, [os.fsdecode(name), "part-0.parquet"])
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    seen = found(tmp_path)
    assert len(seen.read) == 1
    refusal = seen.refusal.encode().decode()  # as it is printed
    assert r"\udcff" in refusal
    assert "its name is not UTF-8" in refusal
