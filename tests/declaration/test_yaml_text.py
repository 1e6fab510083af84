"""YAML is read as it is written, or refused by the name of its file; nothing in it hangs, explodes or is dropped."""

import os
from pathlib import Path

import pytest
import yaml

from ukdsl_assets.declaration.read import SHIPPED, read_cascade, read_cascades
from ukdsl_assets.declaration.yaml_text import MOST_LEVELS, parse_yaml, read_yaml
from ukdsl_assets.errors import DeclarationError

ADS = (SHIPPED / "simulated_ads.yaml").read_text(encoding="utf-8")
NINE = ",".join(["x"] * 9)


def bomb(levels: int) -> str:
    """Lists of nine aliases of lists: nine to the power of the levels."""
    inner = "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, levels))
    return f"a0: &a0 [{NINE}]\n{inner}"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_sound_text_is_what_yaml_makes_of_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert parse_yaml(text) == read_yaml(path) == yaml.safe_load(text)


def test_keys_that_stand_twice_are_named_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(
        "name: shop\nstudents: [1]\nwithheld_share: 0.2\nstudents: [2]\n'withheld_share': 0.9\nstudents: []\n"
    )
    told = r"`students` stands 3 times, in lines 2, 4, 6; `withheld_share` stands 2 times, in lines 3, 5; a mapping has"
    with pytest.raises(DeclarationError, match=rf"shop\.yaml: not readable as YAML: {told}"):
        read_cascade(path)


@pytest.mark.parametrize(
    "text",
    [
        "a: {b: 1, b: 1}",
        "- a: 1\n- b: [{c: 1, d: 2, c: 3}]",
        "a: &a {b: 1}\n<<: *a\n<<: *a",
        "1: a\n1: b",
        "a: &a {b: 1, b: 2}\nc: *a",
    ],
)
def test_a_key_twice_is_refused_at_any_depth(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="stands 2 times, in line"):
        parse_yaml(text)


def test_a_key_that_replaces_a_merged_one_or_stands_in_two_mappings_is_none_twice() -> None:
    assert parse_yaml("a: &a {b: 1, c: 2}\nd: {<<: *a, c: 3}") == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}
    assert parse_yaml("- &one {a: 1}\n- *one\n- {a: 2}\n- {'1': a, 1: b}")[3] == {"1": "a", 1: "b"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("description: Caf\u00e9\n".encode("latin-1"), "not UTF-8: byte 0xe9 in line 1; save the file as UTF-8"),
        ("a: 1\nb: \u00e4\n".encode("latin-1"), "not UTF-8: byte 0xe4 in line 2"),
        ("name: x".encode("utf-16"), "not UTF-8: byte 0xff in line 1"),
        (b"a: \x00", "not readable as YAML: .*"),
        (b"a: 1\n---\nb: 2\n", "not readable as YAML: expected a single document"),
        (b"first_day: 2026-02-30", "not readable as YAML: a value that cannot be what it is written as: day .*quotes"),
        (b"a: !!bool maybe", "not readable as YAML: a value that cannot be"),
        (b"a: !!timestamp soon", "not readable as YAML: a value that cannot be"),
        (b"a: " + b"9" * 5000, "not readable as YAML: a value that cannot be"),
        (b"a: !!python/object/apply:os.system [id]", "not readable as YAML: could not determine a constructor"),
        (b"a: *b", "not readable as YAML: found undefined alias"),
        (b"#" * (1 << 20) + b"\n", "not readable as YAML: 1,048,577 bytes, expected a declaration of at most"),
        (b"a: [*a]", "not readable as YAML: found undefined alias"),
        (b"a: &a [*a]", r"not readable as YAML: `\*a` stands inside of itself"),
        (b"features: " + b"[" * 3000 + b"]" * 3000, "not readable as YAML: nested more than 32 levels deep"),
        (bomb(9).encode(), "not readable as YAML: more than 100,000 values, aliases written out"),
        (
            b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [*a%d]\n" % (i, i, i - 1) for i in range(1, 3000)),
            "not readable as YAML: nested more than 32 levels deep",
        ),
    ],
    ids=range(17),
)
def test_what_cannot_be_read_is_told_by_the_name_of_its_file(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "shop.yaml"
    path.write_bytes(content)
    with pytest.raises(DeclarationError, match=rf"^{path}: {told}"):
        read_cascade(path)


def test_aliases_and_levels_inside_the_bounds_are_read() -> None:
    found = parse_yaml(bomb(4))
    assert found["a3"][8][8][8] == ["x"] * 9
    assert parse_yaml("[" * MOST_LEVELS + "]" * MOST_LEVELS)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "marked.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + ADS.encode())
    assert read_cascade(path).name == "simulated_ads"


def test_pipes_and_folders_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "mine.yml").write_text("extends: pipe.yaml")
    with pytest.raises(DeclarationError, match=r"pipe\.yaml: not readable as YAML: it is a folder, a pipe or a device"):
        read_cascade(tmp_path / "mine.yml")
    with pytest.raises(DeclarationError, match=r"pipe\.yaml: not readable"):
        read_cascades(tmp_path)
    with pytest.raises(DeclarationError, match="it is a folder, a pipe or a device"):
        read_cascade(tmp_path)
    for name in ('"nul\\0"', "[a]", "1"):
        (tmp_path / "mine.yml").write_text(f"extends: {name}")
        with pytest.raises(DeclarationError, match="extends: expected the name of a file beside it, saw"):
            read_cascade(tmp_path / "mine.yml")


def test_a_chain_that_leads_back_by_another_path_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(f"extends: ../{tmp_path.name}/one.yaml\n")
    with pytest.raises(DeclarationError, match="leads back to itself"):
        read_cascade(tmp_path / "one.yaml")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "one.yaml").write_text("extends: loop.yaml\n")
    with pytest.raises(DeclarationError, match=r"loop\.yaml: not readable as YAML: .*symbolic links"):
        read_cascade(tmp_path / "one.yaml")


def test_declarations_are_found_in_any_case_and_hidden_files_are_none(tmp_path: Path) -> None:
    (tmp_path / "ADS.YAML").write_text(ADS)
    (tmp_path / "page.yml").write_text((SHIPPED / "simulated_item_page.yaml").read_text(encoding="utf-8"))
    (tmp_path / ".#ADS.yaml").symlink_to("someone@somewhere")
    (tmp_path / "notes.txt").write_text("no YAML: [")
    assert list(read_cascades(tmp_path)) == ["simulated_ads", "simulated_item_page"]
