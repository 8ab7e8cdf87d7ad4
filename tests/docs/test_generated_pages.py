"""Pages that are made from the code are current, and every link of the docs leads somewhere."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", REPOSITORY / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["tree.md", "faults.md"])
def test_a_generated_page_is_what_the_code_would_write(name: str) -> None:
    page = REPOSITORY / "docs" / name
    assert page.read_text() == _script().PAGES[name](REPOSITORY), f"{page} is out of date: run make docs, and commit it"


def test_every_room_of_the_package_stands_in_the_tree() -> None:
    rooms = {path.parent.name for path in (REPOSITORY / "hippopt").glob("*/__init__.py")}
    assert rooms == set(_script().ROOMS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_between_pages_lead_to_files(page: Path) -> None:
    targets = [
        target for target in LINK.findall(page.read_text()) if "://" not in target and not target.startswith("mailto:")
    ]
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing, f"{page}: nothing lies where these links lead: {missing}"


def test_the_readme_can_be_read_in_one_sitting() -> None:
    assert (REPOSITORY / "README.md").stat().st_size < 10_000
