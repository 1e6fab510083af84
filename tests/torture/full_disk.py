"""A lake on a disk that is full, and on one that may only be read; where root may mount one in memory."""

import subprocess
from pathlib import Path

from tests.fixtures.shop import DAY
from tests.torture.runs import shop_of_days, start, versions

RUN = ("run", "shop", "--days", str(DAY))


def full_disk(folder: Path) -> dict[str, int] | str:
    """A run on a disk of 200 KiB, again when there is room, and again when nothing may be written.

    Returns:
        Why it could not be tried; or, of the runs that must fail: succeeded, and cause_hidden: how many did not say
        why; torn: 1 if what a full disk leaves could not be read; not_healed: 1 if the run with room did not succeed;
        changed: 1 if the read-only run changed something. All must be 0.
    """
    logs = shop_of_days(folder / "logs")
    here = folder / "here"
    (here / "lake").mkdir(parents=True)
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", here / "lake"], capture_output=True
    ).returncode:
        return "not tried: mounting a disk in memory needs root and the right to mount"
    figures = {"succeeded": 0, "cause_hidden": 0, "torn": 0, "not_healed": 0, "changed": 0}
    try:
        _expect(figures, here, logs, "No space left on device")
        try:
            versions(here)
        except Exception as error:
            print(f"a full disk: {type(error).__name__}: {error}")
            figures["torn"] = 1
        _remount(here, "size=64m")
        figures["not_healed"] = int(start(here, *RUN, logs=logs).wait() != 0)
        before = versions(here)
        _remount(here, "ro")
        _expect(figures, here, logs, "Read-only file system")
        figures["changed"] = int(versions(here) != before)
    finally:
        subprocess.run(["umount", here / "lake"], check=True)
    return figures


def _expect(figures: dict[str, int], here: Path, logs: Path, cause: str) -> None:
    (here / "said.log").unlink(missing_ok=True)
    figures["succeeded"] += start(here, *RUN, logs=logs).wait() == 0
    words = " ".join((here / "said.log").read_text().split())
    if cause not in words:
        print(f"expected `{cause}` in: {words[-1500:]}")
        figures["cause_hidden"] += 1


def _remount(here: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", here / "lake"], check=True)
