"""Damage to what was published: a flipped bit, a cut file, a file that is gone; a reader refuses it by its name."""

import random
from collections.abc import Callable
from pathlib import Path

from tests.torture.writers import WRITERS, vacuum
from ukdsl_assets.errors import UkdslError

# Kind -> the files that hold what was published.
FILES: dict[str, str] = {
    "a day of a table": "tables/shop/impressions/day=*/*.parquet",
    "a table without days": "tables/theory/curves/*.parquet",
    "a checkpoint": "checkpoints/shop/student/distilled/checkpoints/day=*/*/*",
    "a release": "checkpoints/shop/student/released.json",
    "the state of a training": "checkpoints/**/training/*.safetensors",
}
# What begins anew where its file is gone; a first release may have been decided and not yet be pointed at.
MADE_ANEW = ("a release", "the state of a training")
Damage = Callable[[bytes, random.Random], bytes | None]


def flipped_bit(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut_off(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def gone(content: bytes, chance: random.Random) -> None:
    return None


DAMAGES: dict[str, Damage] = {"flipped": flipped_bit, "cut": cut_off, "gone": gone}


def damage(folder: Path, trials: int) -> dict[str, dict[str, int]]:
    """Damage a file of each kind in each way so many times, each time from a sound one.

    Returns:
        Kind -> trials; refused: a reader named the file or its table, or begins anew where what is `MADE_ANEW` is gone;
        silent: it gave what was never written, or what was written from a damaged file; raw: it raised an error that
        is none of ours; nameless: the refusal does not say where. The last three must be 0.
    """
    return {name: _damaged(name, folder / name.replace(" ", "_"), trials) for name in FILES}


def _damaged(name: str, root: Path, trials: int) -> dict[str, int]:
    root.mkdir(parents=True)
    writer, chance = WRITERS[name], random.Random(name)
    writer.write(root, 7)
    assert writer.read(root) == 7
    files = [path for path in sorted(root.glob(FILES[name])) if path.is_file()]
    assert files
    figures = {"trials": 0, "refused": 0, "silent": 0, "raw": 0, "nameless": 0}
    for trial in range(trials):
        path, way = chance.choice(files), list(DAMAGES.values())[trial % len(DAMAGES)]
        sound = path.read_bytes()
        damaged = way(sound, chance)
        path.unlink()
        if damaged is not None:
            path.write_bytes(damaged)
        figures["trials"] += 1
        figures[_outcome(name, root, path)] += 1
        path.write_bytes(sound)
    assert writer.read(root) == 7
    vacuum(root)
    assert writer.read(root) in (7, None)
    return figures


def _outcome(name: str, root: Path, path: Path) -> str:
    try:
        found = WRITERS[name].read(root)
    except UkdslError as error:
        places = (path.name, path.parent.name, "shop/", "theory/curves")
        return "refused" if any(place in str(error) for place in places) else "nameless"
    except Exception as error:
        print(f"{name}, {path.name}: {type(error).__name__}: {error}")
        return "raw"
    return "refused" if found is None and name in MADE_ANEW else "silent"
