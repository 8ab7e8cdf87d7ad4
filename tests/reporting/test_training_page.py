"""The training page's figures: curves and clouds where they belong, and a paragraph that says what the tables say."""

import math
import re

import pytest

from hippopt.reporting.pages.charts import VolumeAgreement, bland_altman, line_chart
from hippopt.reporting.pages.methods_text import REFERENCES, MethodsFacts, Scored, methods_paragraph


def test_a_curve_rises_where_its_values_do_and_leaves_out_what_is_not_finite() -> None:
    chart = line_chart("Dice", "step", {"fold 0": [(100, 0.5), (200, math.nan), (300, 0.9)], "fold 1": [(100, 0.7)]})
    assert chart is not None and [line.name for line in chart.lines] == ["fold 0", "fold 1"]
    first, last = (tuple(map(float, point.split())) for point in chart.lines[0].path[1:].split("L"))
    assert first[0] < last[0] and first[1] > last[1] and last == chart.lines[0].last
    assert line_chart("Dice", "step", {"fold 0": [(1, math.nan)]}) is None


def test_differences_lie_over_their_means_and_limits_around_the_bias() -> None:
    pairs = {"a": (1100.0, 1000.0), "b": (900.0, 1000.0), "far": (2500.0, 1500.0)}
    chart = bland_altman(VolumeAgreement("front", pairs, 10.0, -500.0, 520.0, 0.5))
    assert chart is not None
    dots = {dot.scan: dot for dot in chart.dots}
    assert dots["b"].x < dots["a"].x < dots["far"].x and dots["far"].y < dots["a"].y < dots["b"].y
    assert [dot.apart for dot in chart.dots] == [False, False, True]
    low, bias, high = (level[0] for level in chart.levels)
    assert low > bias > high and dots["far"].y < high
    assert bland_altman(VolumeAgreement("front", {}, math.nan, math.nan, math.nan, math.nan)) is None


def facts(**changed: object) -> MethodsFacts:
    known: dict[str, object] = {
        "version": "1.0",
        "versions": "torch 2",
        "method": "lora-pt",
        "rank": ", rank 4",
        "trains": "trained were factors",
        "base": "small",
        "network": "hidden size 8",
        "patch": "1 × 2 × 3",
        "spacing": "1 × 1 × 1",
        "steps": "150",
        "learning_rate": 0.003,
        "cases": 8,
        "subjects": 4,
        "folds": 2,
        "labels": ["front"],
        "dice": Scored(0.8712, 0.85, 0.89),
        "hd95": Scored(1.5, 1.2, 1.9),
        "nsd": Scored(0.9, math.nan, math.nan),
        "agreement": [("front", 0.91, -12.0, -100.0, 76.0)],
    }
    return MethodsFacts(**{**known, **changed})  # type: ignore[arg-type]


def test_the_paragraph_holds_the_figures_and_numbers_its_references_in_order() -> None:
    text, references = methods_paragraph(facts())
    for words in (
        "0.871 (95 % interval 0.850 to 0.890)",
        "1.50 mm",
        "8 scans of 4 subjects",
        "ICC 0.91, bias -12 mm³",
        "150 steps",
        "base small",
    ):
        assert words in text
    assert "nan" not in text
    numbers = [int(number) for number in re.findall(r"\[(\d+)\]", text)]
    assert list(dict.fromkeys(numbers)) == list(range(1, len(references) + 1))
    assert references[numbers[0] - 1] == REFERENCES["nnunet"] and REFERENCES["lora-pt"] in references


def test_a_run_that_goes_on_from_another_says_so() -> None:
    assert "went on from" not in methods_paragraph(facts())[0]
    assert "training went on from the networks of run first." in methods_paragraph(facts(continued_from="first"))[0]


def test_a_run_from_random_weights_does_not_claim_a_base_or_a_method_of_adapting() -> None:
    text, references = methods_paragraph(
        facts(base=None, method="full", rank="", agreement=[("front", math.nan, 0.0, math.nan, math.nan)])
    )
    assert "random weights" in text and "fine-tuned" not in text and "ICC" not in text
    assert REFERENCES["lora-pt"] not in references and REFERENCES["icc"] not in references


@pytest.mark.parametrize("name", ["lora-pt", "lora", "dora", "pissa", "adalora", "bitfit"])
def test_every_published_way_to_fine_tune_is_cited(name: str) -> None:
    assert REFERENCES[name] in methods_paragraph(facts(method=name))[1]
