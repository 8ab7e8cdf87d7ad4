"""The learning curve of a fold, as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hippopt.artifacts.codec import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW = 15  # epochs up to which each one is marked: a line of one point cannot be seen
BLUE, GREEN, PALE, GREY, ORANGE = "#0072B2", "#009E73", "#8FD3BF", "#666666", "#D55E00"


def plot_progress(rows: Sequence[dict[str, float]], title: str, path: Path, looked_at: str = "validation") -> None:
    """Write `progress_figure` as PNG, atomically."""
    figure = progress_figure(rows, title, looked_at)
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=90, format="png"))


def progress_figure(rows: Sequence[dict[str, float]], title: str, looked_at: str = "validation") -> "Figure":
    """Draw loss and Dice above, seconds per step and learning rate below, over steps. looked_at: the cases of the Dice.

    Axes begin at step 0, and legends stand beside the plots with the figures of now, so that one epoch can be read as
    well as many.
    """
    import matplotlib

    matplotlib.use("Agg", force=False)
    from matplotlib.figure import Figure

    steps = [row["step"] for row in rows]
    figure = Figure(figsize=(10, 7), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    dice, rate = above.twinx(), below.twinx()

    def draw(axes: "Axes", key: str, colour: str, label: str, size: int) -> None:
        values = [row[key] for row in rows]
        mark = "o" if len(rows) <= FEW else ""
        axes.plot(steps, values, marker=mark, markersize=size, color=colour, label=f"{label}: {values[-1]:.3g} now")

    # points may hide each other: the larger ones below
    draw(above, "train_loss", BLUE, "training loss\n(Dice + cross-entropy)", 4)
    draw(dice, "val_dice", PALE, f"quick Dice on\n{looked_at} cases", 9)
    draw(dice, "val_dice_smoothed", GREEN, "the same, smoothed", 4)
    draw(below, "seconds_a_step", GREY, "seconds per step", 9)
    draw(rate, "learning_rate", ORANGE, "learning rate", 4)
    above.set_title(title)
    for axes, label, colour in (
        (above, "loss", BLUE),
        (dice, "Dice", GREEN),
        (below, "seconds per step", GREY),
        (rate, "learning rate", ORANGE),
    ):
        axes.set_ylabel(label, color=colour)
        axes.tick_params(axis="y", colors=colour)
        axes.set_ylim(bottom=0)
    dice.set_ylim(0, 1)
    rate.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    below.set_xlabel("step")
    below.set_xlim(0, 1.05 * max(steps))
    for left, right in ((above, dice), (below, rate)):
        left.grid(alpha=0.3)
        lines = [line for axes in (left, right) for line in axes.get_lines()]
        right.legend(
            lines,
            [str(line.get_label()) for line in lines],
            loc="center left",
            bbox_to_anchor=(1.12, 0.5),
            frameon=False,
        )
    return figure
