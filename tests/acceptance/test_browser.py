"""The UI as a person meets it: a day launched by clicking, its report opened by a link, a bad log told in our words."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from tests.fixtures.browser import CHROMIUM, SCREENSHOTS, ui_of
from tests.fixtures.command_line import at, shop_in
from tests.fixtures.shop import DAY
from ukdsl_assets.lake.tables.lake import Lake

if TYPE_CHECKING:
    from playwright.sync_api import Page

if CHROMIUM is None:
    pytest.skip("needs Chromium (Debian: apt-get install chromium)", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="needs pip install playwright")
pytestmark = pytest.mark.slow
# A busy machine is no failure.
PATIENCE = 240_000


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop_in(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def page(shop: Path) -> "Iterator[Page]":
    (shop / "home").mkdir()
    shutil.copy(Path(__file__).parents[2] / "dagster.yaml", shop / "home")
    SCREENSHOTS.mkdir(exist_ok=True)
    environment = {name: str(value) for name, value in at(shop).items()}
    with ui_of(shop, UKDSL_THREADS="1", **environment) as address, playwright.sync_playwright() as driver:
        # As root, as on many a CI machine, Chromium starts without its sandbox alone; it opens nothing but our pages.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(base_url=address, viewport={"width": 1400, "height": 900})
        context.set_default_timeout(PATIENCE)
        yield context.new_page()
        browser.close()


def launch_the_day(page: "Page") -> str:
    """Materialize all of the job by clicking, go to the page of its run, and wait until it says how the run ended."""
    page.goto("/locations/ukdsl_assets/jobs/shop_daily")
    page.get_by_role("button", name="Materialize all").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Show all partitions").click()
    partitions = dialog.get_by_role("textbox").first
    partitions.fill(str(DAY))
    partitions.press("Enter")
    launch = dialog.get_by_role("button", name="Launch 1 run")
    launch.wait_for()
    page.screenshot(path=SCREENSHOTS / "launch.png")
    with page.expect_response(lambda answer: '"operationName":"Launch' in (answer.request.post_data or "")) as launched:
        launch.click()
    run = re.search(r'"(?:id|runId)":\s*"([0-9a-f]{8}-[0-9a-f-]{27})"', launched.value.text())
    assert run is not None, launched.value.text()
    page.goto(f"/runs/{run[1]}")
    return page.get_by_text(re.compile("^(Success|Failure|Canceled)$")).first.inner_text()


def test_a_day_is_launched_by_clicking_seen_green_and_its_report_opens_from_the_assets_page(page: "Page") -> None:
    page.goto("/locations/ukdsl_assets/jobs/shop_daily")
    page.get_by_text("candidate_log").first.wait_for()
    page.screenshot(path=SCREENSHOTS / "graph.png")
    assert launch_the_day(page) == "Success"
    page.screenshot(path=SCREENSHOTS / "run.png")
    page.goto(f"/assets/shop/report?view=partitions&partition={DAY}")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name=f"/reports/shop/{DAY}").first.click()
    report = opened.value
    report.get_by_text("pre_ranking_click").first.wait_for()
    report.screenshot(path=SCREENSHOTS / "report.png")
    assert "shop" in report.title()
    report.close()


def test_a_bad_log_shows_the_failed_gate_in_our_words_and_the_old_partition_stays(page: "Page", shop: Path) -> None:
    lake = Lake(str(shop / "lake" / "tables"))
    before = lake.partition(("shop", "candidate_log"), DAY)
    assert before is not None
    path = shop / "logs" / "candidate_log" / f"day={DAY}" / "part-0.parquet"
    pl.read_parquet(path).with_columns(bid=pl.lit(-1.0, pl.Float32)).write_parquet(path)
    assert launch_the_day(page) == "Failure"
    told = page.get_by_text(re.compile("not published, 1 gate failed; the partition stays as it was")).first
    told.wait_for()
    # What to mend comes first, and no line of code is in it.
    assert re.match(
        r"\S*Failure: .*`bid`: 720 of 720 rows.*gate contract of shop/candidate_log.*not published",
        told.inner_text(),
        re.DOTALL,
    )
    assert "Stack Trace" not in told.inner_text()
    page.screenshot(path=SCREENSHOTS / "failed_run.png")
    page.goto("/assets/shop/candidate_log?view=checks")
    page.get_by_text(re.compile("720 of 720 rows break the rule")).first.wait_for()
    page.screenshot(path=SCREENSHOTS / "failed_gate.png")
    assert lake.partition(("shop", "candidate_log"), DAY) == before
    page.goto(f"/assets/shop/report?view=partitions&partition={DAY}")
    page.get_by_text("Materialized", exact=True).first.wait_for()
    assert page.request.get(f"/reports/shop/{DAY}").ok


def test_addresses_of_no_report_are_not_found(page: "Page") -> None:
    for address in ("/reports/shop/2026-03-02", "/reports/shop/tomorrow", "/reports/..%5Cshop/2026-03-01"):
        assert page.request.get(address).status == 404
