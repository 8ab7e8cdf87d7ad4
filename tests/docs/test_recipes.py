"""The recipes of CONTRIBUTING.md: what they say is forgotten easily fails here."""

import re
from pathlib import Path

import pytest

from hippopt.artifacts.methods import METHODS, Method
from hippopt.artifacts.plan import AUGMENTATION_RANGES, PLANNED_ADAPTER, AugmentationSettings
from hippopt.artifacts.trained_words import trains_in_words
from hippopt.scoring.tables import METRICS

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
FILE = re.compile(r"`((?:hippopt|tests|docs|benchmarks)/[\w./]+)`")


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_is_described_with_the_columns_of_its_table(metric: str) -> None:
    described = (DOCS / "formats.md").read_text().partition("## Output of hippopt_evaluate")[2]
    assert f"`{metric}`" in described, (
        f"docs/formats.md, under Output of hippopt_evaluate, does not say what {metric} is"
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_row_in_the_page_of_methods(method: str) -> None:
    assert f"\n| `{method}`" in (DOCS / "methods.md").read_text(), (
        f"docs/methods.md has no row that begins with `{method}`"
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_row_of_a_method_says_what_trains_under_a_new_plan(method: Method) -> None:
    rows = [
        line.split("|") for line in (DOCS / "methods.md").read_text().splitlines() if line.startswith(f"| `{method}`")
    ]
    assert any(row[2].strip() == trains_in_words(method, PLANNED_ADAPTER) for row in rows), trains_in_words(
        method, PLANNED_ADAPTER
    )


def test_every_range_of_an_augmentation_has_a_rule() -> None:
    ranges = {name for name in AugmentationSettings.__struct_fields__ if name in AUGMENTATION_RANGES or _is_range(name)}
    assert ranges == set(AUGMENTATION_RANGES), (
        "a range (low, high) belongs into AUGMENTATION_RANGES, by which plans are checked"
    )


def _is_range(name: str) -> bool:
    return AugmentationSettings.__annotations__[name] == tuple[float, float]


def test_the_files_that_the_recipes_name_exist() -> None:
    named = FILE.findall((REPOSITORY / "CONTRIBUTING.md").read_text())
    assert named
    missing = [
        name for name in named if not name.isupper() and "COMMAND" not in name and not (REPOSITORY / name).exists()
    ]
    assert not missing
