"""YAML as people write it for us: each key once, in UTF-8, of a bounded size; safe, so that no tag makes an object."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ukdsl_assets.errors import DeclarationError

# A declaration has some 10 KB, 300 values and 6 levels.
MOST_BYTES = 1 << 20
MOST_VALUES = 100_000
MOST_LEVELS = 32
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """What a YAML file holds; None for one without anything.

    Raises:
        DeclarationError: names the file, which cannot be read, is no regular file (a pipe would hang), larger than
            MOST_BYTES, not UTF-8, or not YAML as `parse_yaml` takes it.
    """
    try:
        if path.exists() and not path.is_file():
            raise DeclarationError(f"{path}: not readable as YAML: it is a folder, a pipe or a device; name a file")
        if (size := path.stat().st_size) > MOST_BYTES:
            raise DeclarationError(
                f"{path}: not readable as YAML: {size:,} bytes, expected a declaration of at most {MOST_BYTES:,}"
            )
        # Editors of some systems begin a file with a mark of its byte order.
        return parse_yaml(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        seen, line = error.object[error.start], error.object[: error.start].count(b"\n") + 1
        raise DeclarationError(f"{path}: not UTF-8: byte 0x{seen:02x} in line {line}; save the file as UTF-8") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        # Marks of places name a text that has no name.
        told = str(error).replace('"<unicode string>", ', "")
        raise DeclarationError(f"{path}: not readable as YAML: {told}") from error


def parse_yaml(text: str) -> Any:
    """What a text of one YAML document holds; None for one without anything.

    Raises:
        yaml.YAMLError: not YAML, a key twice in a mapping, a value that its tag cannot be, more than MOST_LEVELS levels
            or, with every alias written out, MOST_VALUES values.
    """
    _check_size(text)
    loader = _LOADER(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_keys(node)
        return loader.construct_document(node)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # What constructors raise on values such as 2026-02-30 and !!bool maybe.
        raise yaml.YAMLError(f"a value that cannot be what it is written as: {error}; put texts in quotes") from error
    finally:
        loader.dispose()


def _check_size(text: str) -> None:
    """Count levels and values by the parser's events before anything is built; aliases count as what they stand for."""
    values, level, anchored = 0, 0, dict[str | None, tuple[int, int] | None]()
    event: Any  # of either parser
    # Of each list or mapping that is open: its anchor, values before it, and the deepest level in it.
    opened: list[list[Any]] = []
    for event in yaml.parse(text, Loader=_LOADER):
        deepest, anchor = level, getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            known = anchored.get(anchor)
            if known is None:
                if anchor in anchored:
                    raise _error(f"`*{anchor}` stands inside of itself", event.start_mark)
                continue  # The parser of nodes tells of an anchor that is not there.
            values, deepest = values + known[0], level + known[1]
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append([anchor, values, level])
            values, level = values + 1, level + 1
            deepest = level
            if anchor is not None:
                anchored[anchor] = None
        elif isinstance(event, yaml.CollectionEndEvent):
            level -= 1
            anchor, before, deepest = opened.pop()
            if anchor is not None:
                anchored[anchor] = (values - before, deepest - level)
        elif isinstance(event, yaml.ScalarEvent):
            values += 1
            if anchor is not None:
                anchored[anchor] = (1, 0)
        if opened:
            opened[-1][2] = max(opened[-1][2], deepest)
        if deepest > MOST_LEVELS:
            raise _error(f"nested more than {MOST_LEVELS} levels deep", event.start_mark)
        if values > MOST_VALUES:
            raise _error(f"more than {MOST_VALUES:,} values, aliases written out", event.start_mark)


def _check_keys(root: yaml.Node) -> None:
    """Refuse a mapping that has a key twice, of which YAML would keep the last in silence; names all such keys."""
    twice = []
    for mapping in _mappings(root):
        lines: dict[tuple[str, str], list[yaml.Mark]] = {}
        for key, _ in mapping.value:
            if isinstance(key, yaml.ScalarNode):
                lines.setdefault((key.tag, key.value), []).append(key.start_mark)
        twice += [(marks, name) for (_, name), marks in lines.items() if len(marks) > 1]
    if twice:
        twice.sort(key=lambda each: each[0][0].line)
        told = "; ".join(
            f"`{name}` stands {len(marks)} times, in lines {', '.join(str(mark.line + 1) for mark in marks)}"
            for marks, name in twice
        )
        raise _error(f"{told}; a mapping has a key once: put all under one, or remove the others", twice[0][0][1])


def _mappings(root: yaml.Node) -> Iterator[yaml.MappingNode]:
    """Every mapping, once however many aliases it has."""
    waiting, seen = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        inside: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            yield node
            inside = [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            inside = node.value
        for each in inside:
            if id(each) not in seen:
                seen.add(id(each))
                waiting.append(each)


def _error(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
