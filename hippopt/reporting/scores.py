"""A summary of scores, for the console."""

import math
from typing import TYPE_CHECKING

from hippopt.artifacts.dataset import MEAN_FOREGROUND
from hippopt.artifacts.model_file import LEAST_SUBJECTS
from hippopt.console import Console, counted

if TYPE_CHECKING:
    import pandas as pd


def say_summary(summary: "pd.DataFrame", console: Console) -> float:
    """Show Dice, HD95 and NSD a label with 95 % intervals over subjects. Returns the mean foreground Dice."""
    rows = summary.set_index(["label", "metric"])
    for label in dict.fromkeys(summary.label):
        dice, hd95, nsd = (rows.loc[(label, metric)] for metric in ("dice", "hd95_mm", "nsd_1mm"))
        subjects = int(dice["n_subjects"])
        interval = f"95 % interval over {subjects} subjects {dice['ci95_low']:.4f} to {dice['ci95_high']:.4f}"
        if subjects < LEAST_SUBJECTS:
            interval = (
                "one subject: no interval"
                if subjects == 1
                else f"{counted(subjects, 'subject')}: too few for an interval"
            )
        distance = "undefined" if math.isnan(hd95["mean"]) else f"{hd95['mean']:.2f} mm"
        console.say(f"  {label}: Dice {dice['mean']:.4f} ({interval}), HD95 {distance}, NSD at 1 mm {nsd['mean']:.4f}")
    return float(rows.loc[(MEAN_FOREGROUND, "dice"), "mean"])
