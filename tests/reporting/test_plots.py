"""Pictures of learning curves and comparisons: what stands on them, and that nothing covers anything."""

from itertools import pairwise

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hippopt.reporting.comparison import comparison_figure
from hippopt.reporting.progress import progress_figure


def epochs(count: int) -> list[dict[str, float]]:
    return [
        {
            "step": 100 * number,
            "train_loss": 1 / number,
            "val_dice": 0.5,
            "val_dice_smoothed": 0.5,
            "seconds_a_step": 0.8,
            "learning_rate": 3e-3,
        }
        for number in range(1, count + 1)
    ]


def legends_beside(figure: Figure) -> None:
    """No legend lies over any axes, and none leaves the picture."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    found = [axes.get_legend() for axes in figure.axes] + figure.legends
    boxes = [legend.get_window_extent(renderer) for legend in found if legend is not None]
    assert boxes
    for box in boxes:
        assert not any(box.overlaps(axes.get_window_extent(renderer)) for axes in figure.axes)
        assert box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 and box.y0 >= 0
    assert not any(first.overlaps(second) for first, second in pairwise(boxes))


@pytest.mark.parametrize("count", [1, 2, 40])
def test_a_learning_curve_can_be_read_from_its_first_epoch(count: int) -> None:
    figure = progress_figure(epochs(count), "run", "validation")
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "seconds per step", "Dice", "learning rate"]
    assert all(line.get_marker() == ("o" if count < 15 else "") for axes in figure.axes for line in axes.get_lines())
    for axes in figure.axes:
        low, high = axes.get_xlim()
        assert low == 0 and all(0 < x < high for line in axes.get_lines() for x in line.get_xdata())
    texts = [text.get_text() for axes in figure.axes if (legend := axes.get_legend()) for text in legend.get_texts()]
    assert len(texts) == 5 and f"{1 / count:.3g} now" in texts[0]
    legends_beside(figure)


def test_a_comparison_has_its_legend_outside() -> None:
    table = pd.DataFrame(
        [
            {
                "row": f"{method}-r{rank}",
                "method": method,
                "trained": 1000 * rank,
                "dice": 0.8,
                "dice_low": 0.7,
                "dice_high": 0.9,
            }
            for method in ("lora-pt", "a-method-with-a-long-name")
            for rank in (1, 4, 16)
        ]
    )
    figure = comparison_figure(table)
    legends_beside(figure)
    assert len(figure.legends[0].get_texts()) == 2
