"""The learning curve of a fold, as a picture."""

from collections.abc import Sequence
from pathlib import Path

from hippopt.artifacts.codec import write_atomically


def plot_progress(rows: Sequence[dict[str, float]], title: str, path: Path, looked_at: str = "validation") -> None:
    """Loss and Dice above, seconds a step and learning rate below, over steps. Written atomically as PNG. looked_at: the cases of the Dice."""
    import matplotlib

    matplotlib.use("Agg", force=False)
    from matplotlib.figure import Figure

    steps = [row["step"] for row in rows]
    figure = Figure(figsize=(9, 7), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    mark = "o" if len(rows) == 1 else ""  # a line of one point cannot be seen
    above.plot(steps, [row["train_loss"] for row in rows], marker=mark, color="tab:blue", label="training loss (Dice + cross-entropy)")
    above.set_ylabel("loss")
    dice = above.twinx()
    dice.plot(steps, [row["val_dice"] for row in rows], marker=mark, color="tab:green", alpha=0.4, label=f"quick Dice on {looked_at} cases")
    dice.plot(steps, [row["val_dice_smoothed"] for row in rows], marker=mark, color="tab:green", label="the same, smoothed")
    dice.set_ylabel("Dice")
    dice.set_ylim(0, 1)
    above.set_title(title)
    lines = above.get_legend_handles_labels(), dice.get_legend_handles_labels()
    above.legend(lines[0][0] + lines[1][0], lines[0][1] + lines[1][1], loc="center right")
    below.plot(steps, [row["seconds_a_step"] for row in rows], marker=mark, color="tab:gray", label="seconds a step")
    below.set_ylabel("s")
    below.set_xlabel("step")
    rate = below.twinx()
    rate.plot(steps, [row["learning_rate"] for row in rows], marker=mark, color="tab:orange", label="learning rate")
    lines = below.get_legend_handles_labels(), rate.get_legend_handles_labels()
    below.legend(lines[0][0] + lines[1][0], lines[0][1] + lines[1][1], loc="center right")
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=90, format="png"))
