"""A summary of scores, for the console."""

from typing import TYPE_CHECKING

from hippopt.console import Console

if TYPE_CHECKING:
    import pandas as pd

MEAN_FOREGROUND = "mean foreground"  # the row of that name in hippopt.scoring.tables


def say_summary(summary: "pd.DataFrame", console: Console) -> float:
    """Show Dice, HD95 and NSD a label with 95 % intervals over subjects. Returns the mean foreground Dice."""
    rows = summary.set_index(["label", "metric"])
    for label in dict.fromkeys(summary.label):
        dice, hd95, nsd = (rows.loc[(label, metric)] for metric in ("dice", "hd95_mm", "nsd_1mm"))
        console.say(
            f"  {label}: Dice {dice['mean']:.4f} (95 % interval over {int(dice['n_subjects'])} subjects {dice['ci95_low']:.4f} to "
            f"{dice['ci95_high']:.4f}), HD95 {hd95['mean']:.2f} mm, NSD at 1 mm {nsd['mean']:.4f}"
        )
    return float(rows.loc[(MEAN_FOREGROUND, "dice"), "mean"])
