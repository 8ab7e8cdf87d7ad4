"""Write the pages of docs/ that are made from the code: tree.md from the modules' docstrings, faults.md from the tests
of the fault catalogue.

Run it as `make docs`. tests/docs/test_generated_pages.py fails where a page is not what this script would write.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOMS = (
    "cli",
    "comparison",
    "recipes",
    "stages",
    "planning",
    "training",
    "inference",
    "scoring",
    "reporting",
    "jobs",
    "networks",
    "sources",
    "batches",
    "phantoms",
    "files",
    "imaging",
    "artifacts",
    "lorapt",
)
GROUPS = {
    1: "Files",
    18: "Image content",
    31: "Geometry",
    38: "Labels",
    48: "Configuration",
    60: "While it runs",
    78: "Files that strangers bring",
    100: "Machines, and the people on them",
}
FAULT_TEST = re.compile(r"test_row_(\d+)_(\w+)\.py")
LEAD = re.compile(r"^Rows? [\d, andto]+?(?::|, (?=[A-Z]))\s*")


def first_paragraph(module: Path) -> str:
    """The first paragraph of a module's docstring, as one line. Raises ValueError where there is none."""
    text = ast.get_docstring(ast.parse(module.read_text()))
    if not text:
        raise ValueError(f"{module}: no docstring; its first paragraph is what the tree says of it")
    return " ".join(text.split("\n\n")[0].split())


def tree(repository: Path) -> str:
    """docs/tree.md: each room of the package with its modules, and what each is for."""
    package = repository / "hippopt"
    lines = [
        "# The tree of files",
        "",
        (
            "`make docs` writes this page from the first paragraph of each module's docstring. Rooms stand in the"
            " order of imports: a room imports only from rooms below it ([pyproject.toml](../pyproject.toml),"
            " `tool.importlinter`)."
        ),
        "",
        "## At the top",
        "",
        *_entries(package, package),
    ]
    for room in ROOMS:
        lines += [
            "",
            f"## {room}/",
            "",
            _sentence(first_paragraph(package / room / "__init__.py")),
            "",
            *_entries(package / room, package),
        ]
        for folder in _subrooms(package / room):
            lines += [
                "",
                f"### {folder.relative_to(package)}/",
                "",
                _sentence(first_paragraph(folder / "__init__.py")),
                "",
                *_entries(folder, package),
            ]
    return "\n".join(lines) + "\n"


def _subrooms(room: Path) -> Iterator[Path]:
    return (folder for folder in sorted(room.iterdir()) if (folder / "__init__.py").exists())


def _entries(room: Path, package: Path) -> list[str]:
    modules = (module for module in sorted(room.glob("*.py")) if module.name != "__init__.py")
    return [
        f"- [`{module.name}`](../hippopt/{module.relative_to(package)}): {_sentence(first_paragraph(module))}"
        for module in modules
    ]


def _sentence(text: str) -> str:
    return text if text[-1] in ".?!" else text + "."


def faults(repository: Path) -> str:
    """docs/faults.md: each row of the fault catalogue, what a user may expect, and the test that makes the fault."""
    tests = sorted((repository / "tests" / "faults").glob("test_row_*.py"), key=lambda path: (_row(path), path.name))
    lines = [
        "# The fault catalogue",
        "",
        (
            "This page lists what can go wrong with the input, the configuration and the machine, and what a user may"
            " expect of hippopt then. Unless a row says otherwise, the user gets one clear line that names the file,"
            " the reason and the remedy, the exit status is not 0, nothing on disk is harmed, and a batch goes on with"
            " its other scans and lists the failures at its end."
        ),
        "",
        (
            "`make docs` writes this page from the first paragraph of each test in [tests/faults](../tests/faults);"
            " every test makes its fault. Numbers without a test were struck: [decision"
            " 15](decisions/0015-struck-from-the-catalogue.md) says why."
        ),
    ]
    starts = list(GROUPS)
    for place, start in enumerate(starts):
        end = starts[place + 1] if place + 1 < len(starts) else sys.maxsize
        rows = [path for path in tests if start <= _row(path) < end]
        if rows:
            lines += ["", f"## {GROUPS[start]}", "", "| row | what a user may expect | test |", "|---|---|---|"]
            lines += [
                f"| {_row(path)} | {_cell(_sentence(LEAD.sub('', first_paragraph(path))))} |"
                f" [{_title(path)}](../tests/faults/{path.name}) |"
                for path in rows
            ]
    return "\n".join(lines) + "\n"


def _row(test: Path) -> int:
    found = FAULT_TEST.fullmatch(test.name)
    if found is None:
        raise ValueError(f"{test}: call it test_row_NN_what.py, NN being its row in the catalogue")
    return int(found[1])


def _title(test: Path) -> str:
    found = FAULT_TEST.fullmatch(test.name)
    assert found is not None
    return found[2].replace("_", " ")


def _cell(text: str) -> str:
    return (text[0].upper() + text[1:]).replace("|", "\\|")


PAGES: dict[str, Callable[[Path], str]] = {"tree.md": tree, "faults.md": faults}


def main() -> None:
    """Write every page."""
    docs = Path(__file__).parent
    for name, make in PAGES.items():
        (docs / name).write_text(make(docs.parent))


if __name__ == "__main__":
    main()
