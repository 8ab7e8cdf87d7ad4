"""A headless Chromium without network, and pages of 60 and of 300 scans that the tests open."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hippopt.reporting.pages.cohort_page import write_cohort
from tests.page_parts import blob_view, cards_of, cohort_of, scan_row

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1280,900",
)
SCANS, MANY = 60, 300
PATIENCE_S = 60  # on a busy machine


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium with the network off; files it downloads lie in `driver.downloads`. Skips where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (pip install '.[dev]')")
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    service = shutil.which("chromedriver")
    if browser is None or service is None:
        pytest.skip("no Chromium with its driver (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    downloads = tmp_path_factory.mktemp("downloads")
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(service))
    try:
        opened.set_page_load_timeout(PATIENCE_S)
        opened.set_network_conditions(offline=True, latency=0, throughput=0)
        opened.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)})
        opened.downloads = downloads
        yield opened
    finally:
        opened.quit()


def write_many(path: Path, scans: int) -> Path:
    """Write a page of scans, `scan 000` the worst; every tenth has a flag, and one name would run a script
    if it could.
    """
    views = [blob_view(seed) for seed in range(6)]
    rows = [
        scan_row(
            f"scan {number:03d}",
            1000 + 7 * (number % 13),
            0.5 + number / 1000,
            ("at edge",) if number % 10 == 0 else (),
        )
        for number in range(scans - 1)
    ]
    rows.append(scan_row("""<img src=x onerror="document.title='owned'">'&""", 1010, 0.99))
    return write_cohort(path, cohort_of(rows), lambda scans: cards_of(scans, views))[0]


@pytest.fixture
def page(driver: Any, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page freshly opened, of 60 scans or as many as the test's parameter says, without ratings of earlier tests.

    What it complains of in the console fails the test.
    """
    scans = getattr(request, "param", SCANS)
    file = tmp_path_factory.getbasetemp() / f"report_{scans}.html"
    if not file.exists():
        write_many(file, scans)
    driver.get(file.as_uri())
    if driver.execute_script("const kept = localStorage.length; localStorage.clear(); return kept"):
        driver.refresh()
    yield driver
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.fixture
def wait(driver: Any) -> Callable[..., Any]:
    """Wait until a function of the driver gives something true."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, PATIENCE_S).until
