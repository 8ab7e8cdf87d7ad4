"""The cohort page as a person uses it: sorting, filtering, keys,
ratings out and in, the scroller, the view, printing; 300 scans.
"""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import MANY, SCANS

pytestmark = pytest.mark.browser
Wait = Callable[..., Any]

SHOWN = (
    "return [...document.querySelectorAll('#scans tbody tr')].filter(row => !row.hidden).map(row => row.dataset.scan)"
)
CARDS = (
    "return [...document.querySelectorAll('article.scan')].filter(card => !card.hidden).map(card => card.dataset.scan)"
)
CURRENT = "return document.querySelector('article.current')?.dataset.scan"
FLAGGED = [f"scan {number:03d}" for number in range(0, SCANS - 1, 10)]
MANY_SCANS = pytest.mark.parametrize("page", [MANY], indirect=True)


def keys(page: Any, *pressed: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(page).send_keys(*pressed).perform()


def find(page: Any, selector: str) -> Any:
    return page.find_element("css selector", selector)


def sorted_by(page: Any, title: str) -> list[str]:
    page.execute_script(
        "[...document.querySelectorAll('#scans th')].find(head => head.textContent.trim() ==="
        " arguments[0]).querySelector('button').click()",
        title,
    )
    return list(page.execute_script(SHOWN))


@MANY_SCANS
def test_three_hundred_scans_worst_first_sorted_and_filtered(page: Any) -> None:
    first = page.execute_script(SHOWN)
    flagged = [f"scan {number:03d}" for number in range(0, MANY - 1, 10)]
    assert len(first) == MANY and first[:30] == flagged and first[30] == "scan 001"
    assert page.execute_script(CARDS) == first
    volumes = sorted_by(page, "Volume, front")
    smallest = {f"scan {number:03d}" for number in range(0, 299, 13)}
    assert volumes == page.execute_script(CARDS) and set(volumes[: len(smallest)]) == smallest
    assert set(sorted_by(page, "Volume, front")[-len(smallest) :]) == smallest
    names = sorted_by(page, "scan")
    assert [name for name in names if name.startswith("scan")] == [f"scan {number:03d}" for number in range(MANY - 1)]
    find(page, "#search").send_keys("SCAN 12")
    assert page.execute_script(SHOWN) == ["scan 120", *(f"scan {number}" for number in range(121, 130))]
    assert page.execute_script(CARDS) == page.execute_script(SHOWN) and "10 of 300" in find(page, "#shown").text
    page.execute_script("byId('search').value = ''")
    find(page, "#filter").send_keys("flag: at edge")
    assert page.execute_script(SHOWN) == flagged


def test_keys_go_through_the_scans_and_rate_them(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    keys(page, Keys.ARROW_RIGHT, "1", Keys.ARROW_RIGHT, "3", "n")
    find(page, "article.current .note-field").send_keys("tail cut 1 2 3", Keys.ESCAPE)  # digits in a note are text
    keys(page, Keys.ARROW_RIGHT, "2", "0", Keys.ARROW_LEFT)
    assert page.execute_script(CURRENT) == FLAGGED[1]
    kept = page.execute_script(
        "return [...ratings.all].map(([scan, entry]) => [scan, entry.rating, entry.note, entry.mask])"
    )
    assert kept == [["scan 000", "pass", "", "00000000"], ["scan 010", "fail", "tail cut 1 2 3", "00000001"]]
    page.refresh()
    row = find(page, "tr[data-scan='scan 010']")
    assert row.get_attribute("data-rating") == "fail" and "tail cut 1 2 3" in row.text
    assert find(page, "article[data-scan='scan 010'] [data-rate=fail]").get_attribute("aria-pressed") == "true"
    find(page, "#filter").send_keys("rated fail")
    assert page.execute_script(SHOWN) == ["scan 010"]


def test_ratings_go_out_as_a_table_and_come_in_again(page: Any, wait: Wait, tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    keys(page, Keys.ARROW_RIGHT, "2", "n")
    find(page, "article.current .note-field").send_keys("ventricle?", Keys.ESCAPE)
    exported = page.downloads / "ratings.tsv"
    exported.unlink(missing_ok=True)
    find(page, "#export").click()
    wait(lambda _: exported.exists() and exported.stat().st_size)
    header, row = exported.read_text().splitlines()
    assert header.split("\t")[:3] == ["scan", "rating", "note"] and row.split("\t")[:3] == [
        "scan 000",
        "doubtful",
        "ventricle?",
    ]
    page.execute_script("localStorage.clear()")
    page.refresh()
    table = tmp_path / "mine.tsv"
    table.write_text(exported.read_text() + "scan 020\tPass\t\nscan 030\tsplendid\t\nelsewhere\tfail\t\n")
    find(page, "#import").send_keys(str(table))
    wait(lambda _: "3 ratings read" in find(page, "#message").text)
    assert (
        "1 of scans that are not on this page" in find(page, "#message").text
        and "line 4: rating splendid" in find(page, "#message").text
    )
    shown = [
        find(page, f"tr[data-scan='scan {number}']").get_attribute("data-rating") for number in ("000", "020", "030")
    ]
    assert shown == ["doubtful", "pass", ""]
    table.write_text("name,verdict\n")
    find(page, "#import").send_keys(str(table))
    wait(lambda _: "not a table of ratings" in find(page, "#message").text)


def test_a_rating_of_an_earlier_mask_is_said_to_be_one(page: Any) -> None:
    page.execute_script(
        "ratings.all.set('scan 000', {rating: 'pass', note: '', mask: 'deadbeef', rated: ''}); ratings.save()"
    )
    page.refresh()
    assert "of an earlier mask" in find(page, "tr[data-scan='scan 000'] .rating").text
    assert find(page, "article[data-scan='scan 000'] [data-rate=pass]").get_attribute("aria-pressed") == "false"


def test_the_scroller_moves_through_slices_and_knows_the_view(page: Any, wait: Wait) -> None:
    from selenium.webdriver.common.keys import Keys

    keys(page, Keys.ARROW_RIGHT, Keys.ENTER)
    wait(lambda _: page.execute_script("return viewer.dialog.open && viewer.panes !== undefined"))
    before = page.execute_script("return [viewer.at[0], viewer.panes.coronal.canvas.toDataURL()]")
    keys(page, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    after = page.execute_script("return [viewer.at[0], viewer.panes.coronal.canvas.toDataURL()]")
    assert after[0] == before[0] + 2 and after[1] != before[1]
    assert "coronal, slice" in find(page, "#viewer figure.coronal figcaption").text
    # the mask that the page unpacks is the one of the pictures: as many voxels as were packed
    assert page.execute_script(
        "return viewer.masks[0].values.length === viewer.volume.shape.reduce((a, b) => a * b) &&"
        " viewer.masks[0].values.some(v => v === 2)"
    )
    west = page.execute_script("return document.querySelector('#viewer figure.coronal .west').textContent")
    turned = page.execute_script("return viewer.panes.coronal.canvas.toDataURL()")
    keys(page, "v")
    assert [west, page.execute_script("return document.querySelector('#viewer figure.coronal .west').textContent")] == [
        "R",
        "L",
    ]
    assert page.execute_script("return viewer.panes.coronal.canvas.toDataURL()") != turned
    with_lines = page.execute_script("return viewer.panes.axial.canvas.toDataURL()")
    keys(page, "o")
    assert page.execute_script("return viewer.panes.axial.canvas.toDataURL()") != with_lines
    keys(page, Keys.ARROW_RIGHT)
    wait(lambda _: find(page, "#viewer h3").text == FLAGGED[1])
    keys(page, "o", "v", Keys.ESCAPE)
    assert not page.execute_script("return viewer.dialog.open")


def test_outlines_of_the_scroller_are_those_of_a_square(page: Any) -> None:
    lines = page.execute_script(
        "return outlineOf((row, column) => row > 0 && row < 3 && column > 0 && column < 4, 5, 6)"
    )
    ends = [tuple(line[at : at + 2]) for line in lines for at in (0, 2)]
    assert all(ends.count(end) == 2 for end in ends)  # closed
    assert [min(x for x, _ in ends), max(x for x, _ in ends), min(y for _, y in ends), max(y for _, y in ends)] == [
        1,
        4,
        1,
        3,
    ]


def test_the_view_is_switched_for_pictures_and_letters(page: Any) -> None:
    def letter(plane: str) -> str:
        script = "return getComputedStyle(document.querySelector(`.planes .${arguments[0]} .west`), '::after').content"
        return str(page.execute_script(script, plane)).strip('"')

    turned = "return getComputedStyle(document.querySelector(`.planes .${arguments[0]} .turn`)).transform"
    assert [letter("coronal"), letter("axial"), letter("sagittal")] == ["R", "R", "A"]
    assert (
        page.execute_script(turned, "coronal").startswith("matrix(-1")
        and page.execute_script(turned, "sagittal") == "none"
    )
    keys(page, "v")
    assert [letter("coronal"), letter("axial"), letter("sagittal")] == ["L", "L", "A"]
    assert page.execute_script(turned, "axial") == "none"
    page.refresh()
    assert letter("coronal") == "L"  # remembered


def test_a_dot_opens_its_scan(page: Any) -> None:
    page.execute_script(
        "document.querySelector(`.plot a[data-open='scan 023'] circle`).dispatchEvent(new MouseEvent('click', {bubbles:"
        " true}))"
    )
    assert page.execute_script(CURRENT) == "scan 023"
    top = page.execute_script("return document.querySelector('article.current').getBoundingClientRect().top")
    assert 0 <= top < 300


def test_a_name_that_is_a_script_stays_text(page: Any) -> None:
    assert page.title == "Masks" and not page.find_elements("css selector", "img[src=x]")
    last = sorted_by(page, "look")  # a second click turns the order round
    assert last[0].startswith("<img src=x")


def test_light_and_dark(page: Any) -> None:
    colours = []
    for _ in range(2):
        find(page, "#theme").click()
        colours.append(page.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1]


def test_printed_the_page_has_its_pictures_and_no_controls(driver: Any, tmp_path: Path) -> None:
    from hippopt.reporting.pages.cohort_page import write_cohort
    from tests.page_parts import blob_view, cards_of, cohort_of, scan_row

    few = write_cohort(
        tmp_path / "few.html",
        cohort_of([scan_row("one"), scan_row("two")]),
        lambda scans: cards_of(scans, [blob_view()]),
    )[0]
    driver.get(few.as_uri())
    pdf = base64.b64decode(
        driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True, "preferCSSPageSize": True})["data"]
    )
    assert pdf.startswith(b"%PDF") and pdf.count(b"/Subtype /Image") >= 16  # three planes and five slices per scan
    assert b"/MediaBox [0 0 841" in pdf  # A4 landscape
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert driver.execute_script("return getComputedStyle(document.querySelector('.bar')).display") == "none"
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
