"""The training page as a person uses it: sorting, links, the scroller, outlines, copying, printing; what is kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hippopt.artifacts.best import Best, Candidate, Difference
from hippopt.artifacts.postprocessing import Postprocessing
from hippopt.reporting.pages.charts import VolumeAgreement
from hippopt.reporting.pages.training_page import Gain, Training, WorstCase, worst_cases, write_training
from hippopt.scoring.metrics import score_case
from hippopt.scoring.tables import ScoredCase, case_table, summarise
from tests.page_parts import blob_view
from tests.synthetic import blob_case

pytestmark = pytest.mark.browser
LABELS = {"front": 1, "back": 2}
LARGEST = Postprocessing(keep="largest of each structure")


def scores() -> pd.DataFrame:
    """Twelve cases; each is scored against its own label moved by none to three voxels."""
    scored = []
    for number in range(12):
        label = blob_case(number)[1].T.astype(np.int32)
        moved = np.roll(label, number % 4, axis=1)
        scored.append(
            ScoredCase(f"case {number:02d}", f"S{number}", tuple(score_case(moved, label, (1.0, 1.0, 1.0), LABELS)))
        )
    return case_table(scored).assign(fold="0")


def best() -> Best:
    difference = Difference(mean=0.01, low=0.005, high=0.015, p_holm=0.01, subjects=12)
    common: dict[str, Any] = {
        "step": "postprocessing", "runs": ("full",), "cases": 12, "subjects": 12, "dice": 0.9, "dice_low": 0.88,
        "dice_high": 0.92, "hd95_mm": 1.0, "nsd_1mm": 0.9, "against": "full", "dice_difference": difference,
        "hd95_difference": difference,
    }  # fmt: skip
    holes = Postprocessing(fill_holes=True)
    rows = (
        Candidate(name=LARGEST.text, postprocessing=LARGEST, kept=True, why="Dice rises", **common),
        Candidate(name=holes.text, postprocessing=holes, why="changes nothing", **common),
    )
    return Best(
        hippopt="0", dataset="Dataset007_Blob", runs=("full",), postprocessing=LARGEST, rule=(), candidates=rows,
        compared={}, left_out={},
    )  # fmt: skip


@pytest.fixture
def page(driver: Any, tmp_path: Path) -> Any:
    """The page freshly opened. What it complains of in the console fails the test."""
    table = scores()
    steps = list(range(0, 300, 20))
    log = pd.DataFrame({"step": steps, "train_loss": [1 / (1 + s) for s in steps], "val_dice_smoothed": 0.8})
    pairs = {f"case {number:02d}": (1000.0 + 10 * number, 1000.0 + 11 * number) for number in range(12)}
    training = Training(
        title="Training: a test",
        summary_line="of a test",
        scores=table,
        summary=summarise(table),
        logs={"0": log},
        labels=LABELS,
        volumes=[VolumeAgreement("front", pairs, -5.0, -12.0, 2.0, 0.9)],
        gains=[Gain("base small", "the base as it is, before any training", 0.7, 0.2, 0.1, 0.3, 0.001, 12)],
        facts=[("plan", "abc")],
        commands=["hippopt_plan Blob"],
        paragraph="A paragraph for the paper.",
        references=["A reference."],
        remarks=["Something is not shown: its reason."],
        best=best(),
    )
    worst = [WorstCase(case, (blob_view(number),)) for number, case in enumerate(worst_cases(table))]
    write_training(tmp_path / "report.html", training, worst)
    driver.get((tmp_path / "report.html").as_uri())
    yield driver
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def find(page: Any, selector: str) -> Any:
    return page.find_element("css selector", selector)


def column(page: Any, place: int) -> list[str]:
    return list(
        page.execute_script(
            f"return [...document.querySelectorAll('#cases tbody tr')].map(row => row.cells[{place}].dataset.v)"
        )
    )


def click(page: Any, selector: str) -> None:
    page.execute_script("document.querySelector(arguments[0]).click()", selector)


def test_cases_are_sorted_by_number_where_figures_stand(page: Any) -> None:
    click(page, "#cases th:nth-child(5) button")
    first = [float(value) for value in column(page, 4)]
    assert first == sorted(first) or first == sorted(first, reverse=True)
    click(page, "#cases th:nth-child(5) button")
    assert [float(value) for value in column(page, 4)] == sorted(first, reverse=first == sorted(first))


def test_every_link_within_the_page_leads_somewhere(page: Any) -> None:
    lost = page.execute_script(
        "return [...document.querySelectorAll('a')].map(a => a.getAttribute('href') ?? a.getAttribute('xlink:href'))"
        ".filter(href => href && href.startsWith('#') && !document.getElementById(href.slice(1)))"
    )
    assert lost == []


def test_the_scroller_moves_through_a_worst_case_and_closes(page: Any, wait: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    click(page, "#case-1 .scroller")
    wait(lambda driver: driver.execute_script("return byId('viewer').open && byId('viewer').querySelector('canvas')"))
    assert "case" in find(page, "#viewer h3").text
    picture = "return [...byId('viewer').querySelectorAll('canvas')].map(canvas => canvas.toDataURL())"
    before = wait(lambda driver: driver.execute_script(picture))
    ActionChains(page).send_keys(Keys.ARROW_DOWN).perform()
    wait(lambda driver: driver.execute_script(picture) != before)
    click(page, "#close")
    assert not page.execute_script("return byId('viewer').open")


def test_outlines_and_the_view_are_switched(page: Any) -> None:
    click(page, "#overlay")
    assert find(page, "#overlay").get_attribute("aria-pressed") == "false"
    before = find(page, "#view").text
    click(page, "#view")
    assert find(page, "#view").text != before


def test_the_paragraph_is_copied_or_selected(page: Any, wait: Any) -> None:
    click(page, "#copy")
    assert wait(lambda driver: find(driver, "#message").text) in ("copied", "selected: copy it with Ctrl+C")
    assert "A paragraph for the paper." in page.execute_script("return getSelection().toString()")


def test_gains_and_what_was_kept_are_shown(page: Any) -> None:
    assert "before any training" in find(page, "#gains").text and "its reason" in find(page, "#gains").text
    rows = [row.text for row in page.find_elements("css selector", "#choice tbody tr")]
    assert "Dice rises" in rows[0] and " kept " in rows[0] and "not kept" in rows[1] and "changes nothing" in rows[1]


@pytest.mark.parametrize("width", [1280, 1920])
def test_nothing_is_wider_than_the_window_and_it_prints(page: Any, width: int) -> None:
    page.set_window_size(width, 900)
    assert page.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert len(page.print_page()) > 10_000
