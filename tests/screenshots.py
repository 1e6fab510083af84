"""The pictures of the documentation, of the real UI on a small real lake: `make screenshots`, some minutes.

    python -m tests.screenshots [NAME ...] [--folder FOLDER] [--into docs/images]

Cascade `ads` is the simulated one with one student, four days of it; `simulated_ads`, with all three, is for the
report; cascade `shop` is of Parquet files, whose second day breaks the contract. A FOLDER that was made before is used
again; two pictures name it. Look at what comes out before you keep it.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import yaml

from tests.fixtures.browser import CHROMIUM, ui_of
from tests.fixtures.command_line import at, in_own_process, shop_in
from tests.fixtures.logs import make_logs
from tests.fixtures.shop import DAY, write
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.settings import PROJECT

if TYPE_CHECKING:
    from playwright.sync_api import Page

STUDENT = "pre_ranking_click"
FIRST, LAST = "2026-01-01", "2026-01-04"
OF_REPORT = "2026-01-03"
BAD_DAY = "2026-03-02"
# A day's page in the UI has this much to fetch.
SETTLED = 3_000
PATIENCE = 240_000
MOST_BYTES = 300_000
# Of twice as many points, since the README shows it smaller than it is.
SHARP = ("graph",)
# Where on the page the lines of code of the last error begin.
TOP_OF_TRACE = """() => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let top = 900;
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const at = node.data.indexOf("Stack Trace");
        if (at < 0) continue;
        const range = document.createRange();
        range.setStart(node, at);
        range.setEnd(node, at + 5);
        const found = range.getBoundingClientRect().top;
        if (found > 0 && found < top) top = found;
    }
    return top;
}"""


def main() -> None:
    """Make the lake where it is not there, open the UI on it and take the pictures that are asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(PICTURES)}")
    parser.add_argument("--folder", type=Path, help="where lake and logs are, or are made and kept")
    parser.add_argument("--into", type=Path, default=PROJECT / "docs" / "images")
    chosen = parser.parse_args()
    if CHROMIUM is None:
        sys.exit("needs Chromium (Debian: apt-get install chromium)")
    if unknown := set(chosen.names) - set(PICTURES):
        sys.exit(f"no picture {', '.join(sorted(unknown))}; there are {', '.join(PICTURES)}")
    # Messages in two pictures have the folder's path, so that its name is one to read.
    scratch = Path(tempfile.gettempdir(), "example")
    folder = (chosen.folder or scratch).resolve()
    if chosen.folder is None and scratch.exists():
        sys.exit(f"{scratch} exists; remove it, or use what it holds: --folder {scratch}")
    try:
        if not (folder / "home").exists():
            make_lake(folder)
        take(folder, chosen.names or list(PICTURES), chosen.into)
    finally:
        if chosen.folder is None:
            shutil.rmtree(scratch, ignore_errors=True)


def make_lake(folder: Path) -> None:
    """Days of both cascades, made by the commands that a user types."""
    folder.mkdir(exist_ok=True)
    shop_in(folder)
    declared = yaml.safe_load((SHIPPED / "simulated_ads.yaml").read_text())
    # The last day is the last that is made, so that the boxes of the graph are those of a cascade without gaps.
    declared |= {"name": "ads", "last_day": type(DAY).fromisoformat(LAST)}
    declared |= {"students": [each for each in declared["students"] if each["name"] == STUDENT]}
    declared["teachers"] = [each for each in declared["teachers"] if each["name"] == declared["students"][0]["teacher"]]
    (folder / "cascades" / "ads.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    (folder / "home").mkdir()
    shutil.copy(PROJECT / "dagster.yaml", folder / "home")
    second = type(DAY).fromisoformat(BAD_DAY)
    logs = make_logs(read_cascade(folder / "cascades" / "shop.yaml"), second, requests=60)
    bad = logs.candidate_log.with_columns(bid=pl.lit(-1.0, pl.Float32))
    write(folder / "logs", second, logs._replace(candidate_log=bad))
    made = (
        ("ads", f"{FIRST}..{LAST}"),
        ("simulated_ads", f"{FIRST}..{OF_REPORT}"),
        ("shop", str(DAY)),
        ("shop", BAD_DAY),
    )
    for cascade, days in made:
        ended = in_own_process("run", cascade, "--days", days, UKDSL_SCALE="small", **at(folder))
        expected = (1,) if days == BAD_DAY else (0, 3)
        assert ended.returncode in expected, ended.stdout + ended.stderr


def take(folder: Path, names: list[str], into: Path) -> None:
    """Open the UI and take each picture, smaller in colours so that it weighs little."""
    from playwright.sync_api import sync_playwright

    shown = {"UKDSL_SCALE": "small", "UKDSL_EXAMPLES": "simulated_ads"}
    with ui_of(folder, **shown, **at(folder)) as address, sync_playwright() as driver:
        # As root, as on many a CI machine, Chromium starts without its sandbox alone; it opens nothing but our pages.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name in names:
            context = browser.new_context(
                base_url=address,
                viewport={"width": 1400, "height": 900},
                device_scale_factor=2 if name in SHARP else 1,
            )
            context.set_default_timeout(PATIENCE)
            page = context.new_page()
            PICTURES[name](page)
            page.wait_for_timeout(SETTLED)
            path = into / f"{name}.png"
            window = page.viewport_size
            assert window is not None
            # Cut, for another window would be laid out anew.
            height = int(ENDS[name](page)) if name in ENDS else window["height"]
            page.screenshot(path=path, clip={"x": 0, "y": 0, "width": window["width"], "height": height})
            size = path.stat().st_size
            assert size < MOST_BYTES, f"{path} has {size:,} bytes, expected fewer than {MOST_BYTES:,}"
            print(f"{path}: {size:,} bytes")
            context.close()
        browser.close()


def graph(page: "Page") -> None:
    """The group of a cascade of one student, as large as it can be."""
    address = "/locations/ukdsl_assets/asset-groups/ads"
    page.set_viewport_size({"width": 1440, "height": 600})
    page.goto(address)
    page.get_by_text("Hide navigation").click()
    # The graph is laid out for the room that it finds.
    page.goto(address)
    page.get_by_text("report", exact=True).first.wait_for()
    page.wait_for_timeout(SETTLED)
    # To the left, from below the slider that zooms.
    page.mouse.move(700, 560)
    page.mouse.down()
    page.mouse.move(670, 560, steps=5)
    page.mouse.up()


def asset(page: "Page") -> None:
    """The page of an evaluation: verdict and picture first."""
    page.set_viewport_size({"width": 1600, "height": 1000})
    page.goto(f"/assets/ads/{STUDENT}_evaluation")
    page.get_by_text("verdict").first.wait_for()
    page.get_by_text("Latest check results").wait_for()


def plots(page: "Page") -> None:
    """Its figures over the days."""
    page.set_viewport_size({"width": 1400, "height": 900})
    page.goto(f"/assets/ads/{STUDENT}_evaluation")
    page.get_by_text("Plots").click()
    page.get_by_text("cd_calibration").first.wait_for()
    page.get_by_text("Plots").evaluate("of => of.scrollIntoView({block: 'start'})")


def launch(page: "Page") -> None:
    """The dialog that asks for the days."""
    page.goto("/locations/ukdsl_assets/jobs/simulated_ads_daily")
    page.get_by_role("button", name="Materialize all").click()
    page.get_by_role("dialog").get_by_role("textbox").first.wait_for()


def failed_gate(page: "Page") -> None:
    """The checks of a log that breaks the contract."""
    page.set_viewport_size({"width": 1400, "height": 640})
    page.goto("/assets/shop/candidate_log?view=checks")
    page.get_by_text("720 of 720 rows break the rule").first.wait_for()


def failed_run(page: "Page") -> None:
    """The run that stopped there."""
    page.goto("/runs")
    page.get_by_text("Failure").first.wait_for()
    row = page.locator("a[href^='/runs/']").first
    page.goto(f"{row.get_attribute('href')}?logs=type%3ASTEP_FAILURE")
    page.get_by_text("not published, 1 gate").first.wait_for()


def report(page: "Page") -> None:
    """The first page of a day's report of three students."""
    page.set_viewport_size({"width": 960, "height": 1280})
    page.goto(f"/reports/simulated_ads/{OF_REPORT}")
    page.get_by_text(STUDENT).first.wait_for()


def documentation(page: "Page") -> None:
    """The first page of the documentation, on a desk and on a phone."""
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"], cwd=PROJECT, check=True)
    first = (PROJECT / "site" / "index.html").as_uri()
    page.set_viewport_size({"width": 1800, "height": 900})
    page.goto(first)
    frames = "".join(f'<iframe src="{first}" style="border: 0; width: {width}px"></iframe>' for width in (1360, 416))
    page.set_content(f'<body style="margin: 0; display: flex; gap: 24px; background: #c9d1d9; height: 900px">{frames}')


PICTURES: dict[str, Callable[["Page"], None]] = {
    each.__name__: each for each in (graph, asset, plots, launch, failed_gate, failed_run, report, documentation)
}
# Where a picture ends, if before its window: above the lines of code, which are another machine's; below what it shows.
ENDS: dict[str, Callable[["Page"], float]] = {
    "failed_run": lambda page: page.evaluate(TOP_OF_TRACE),
    "report": lambda page: page.evaluate(
        "() => document.querySelector('figcaption').getBoundingClientRect().bottom + 16"
    ),
}


if __name__ == "__main__":
    main()
