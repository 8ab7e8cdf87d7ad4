"""Recipes write records and tables; scans, masks and weights are written by stages."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "hippopt"
# of these rooms whatever is named as a writer
ROOMS = ("hippopt.files.", "hippopt.networks.", "hippopt.training.")
WRITERS = ("write_", "save_")
DEMO = "demo.py"  # makes the synthetic scans on which it shows the rest


def writers(source: str) -> Iterator[str]:
    """What a module imports that writes scans, masks or weights."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(ROOMS):
            yield from (name.name for name in node.names if name.name.startswith(WRITERS))


def test_no_recipe_writes_scans_masks_or_weights() -> None:
    found = {
        path.name: names
        for room in ("recipes", "comparison", "cli")
        for path in (PACKAGE / room).glob("*.py")
        if (names := list(writers(path.read_text())))
    }
    assert set(found) == {DEMO}, f"{found}; docs/decisions/0016-rooms-below-an-eighth.md says what a recipe writes"


def test_stages_do_write_them_by_such_names() -> None:
    found = {name for path in (PACKAGE / "stages").glob("*.py") for name in writers(path.read_text())}
    assert {"write_mask", "write_array", "save_tensors", "write_adapter", "write_locator"} <= found
