"""The page as a file: nothing from outside, names harmless, many scans in parts."""

import re
from html import unescape
from pathlib import Path

import pytest

from hippopt.errors import OutputError
from hippopt.reporting.pages import cohort_page
from hippopt.reporting.pages.cohort_page import write_cohort
from hippopt.reporting.pages.rendering import check_page
from tests.page_parts import blob_view, cards_of, cohort_of, scan_row

HOSTILE = """</script><img src=x onerror="document.title='owned'">&'"`${1}"""


def written(path: Path, names: list[str]) -> list[Path]:
    views = [blob_view()]
    return write_cohort(path, cohort_of([scan_row(name) for name in names]), lambda scans: cards_of(scans, views))


def test_the_page_asks_for_nothing_from_outside(tmp_path: Path) -> None:
    text = written(tmp_path / "report.html", ["one", "two"])[0].read_text()
    assert not re.search(
        r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text).replace("// ", "")
    )
    assert "default-src 'none'" in text


def test_names_of_files_are_text_and_nothing_else(tmp_path: Path) -> None:
    text = written(tmp_path / "report.html", [HOSTILE, "plain"])[0].read_text()
    assert "<img src=x" not in text and 'onerror="' not in text
    assert text.count("</script>") == text.count("<script")
    assert HOSTILE in unescape(text)


def test_many_scans_make_parts_and_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohort_page, "SCANS_A_FILE", 3)
    names = [f"scan {number}" for number in range(8)]
    index, *parts = written(tmp_path / "my report.html", names)
    assert [part.name for part in parts] == ["part_001.html", "part_002.html", "part_003.html"]
    text = index.read_text()
    assert "<article" not in text and all(name in text for name in names)
    links = re.findall(r'href="([^"#]+)#(scan-\d+)"', text)
    assert len(set(links)) == 8
    for target, anchor in links:
        assert f'id="{anchor}"' in (tmp_path / unescape(target).replace("%20", " ")).read_text()
    assert 'href="../my%20report.html"' in parts[1].read_text()
    written(index, names[:2])
    assert not list(parts[0].parent.glob("part_*")) and "<article" in index.read_text()


def test_only_a_page_of_ours_is_replaced(tmp_path: Path) -> None:
    path = written(tmp_path / "report.html", ["one"])[0]
    check_page(path, False)
    check_page(tmp_path / "new.html", False)
    path.write_text("<p>notes of a person</p>")
    with pytest.raises(OutputError, match="no page of hippopt"):
        check_page(path, False)
    check_page(path, True)
    with pytest.raises(OutputError, match="is a folder"):
        check_page(tmp_path, False)
