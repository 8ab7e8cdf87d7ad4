"""A comparison of methods for people: a Markdown table, lines for the console, and Dice over trained parameters."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hippopt.artifacts.codec import write_atomically

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def number(value: Any, digits: int, sign: bool = False) -> str:
    """Fixed digits, or a dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:{'+' if sign else ''}.{digits}f}"


def with_interval(row: "pd.Series[Any]", name: str, digits: int, sign: bool = False) -> str:
    """`mean (low to high)`."""
    text = number(row[name], digits, sign)
    low, high = (number(row[f"{name}_{end}"], digits, sign) for end in ("low", "high"))
    return text if "-" in (low, high) else f"{text} ({low} to {high})"


def p_text(p: float) -> str:
    """Four digits; smaller ones are not told apart."""
    return "<.0001" if p < 0.0001 else number(p, 4)


def cells(row: "pd.Series[Any]", references: Sequence[str]) -> dict[str, str]:
    """One row of the table in words and figures, by column."""
    found = {
        "method": str(row["row"]),
        "rate": "plan's" if math.isnan(row["rate"]) else f"{row['rate']:g}",
        "seeds": str(int(row["seeds"])),
        "Dice": with_interval(row, "dice", 4),
        "HD95, mm": with_interval(row, "hd95_mm", 2),
        "NSD at 1 mm": with_interval(row, "nsd_1mm", 4),
    }
    for reference in references:
        if f"to_{reference}" in row.index:
            difference = with_interval(row, f"to_{reference}", 4, sign=True)
            found[f"to {reference}, p"] = (
                "-" if difference == "-" else f"{difference}, {p_text(row[f'to_{reference}_p_holm'])}"
            )
    found["trained: factors, decoder, head, other"] = ", ".join(
        f"{int(row[name]):,}" for name in ("factors", "decoder", "head", "other")
    )
    return found | {
        "s per step": number(row["seconds_a_step"], 3),
        "peak MB": number(row["peak_memory_mb"], 0),
        "adapter MB": (
            number(row["adapter_mb"], 2) + (f" + {number(row['initial_mb'], 2)} a run" if row["initial_mb"] else "")
        ),
    }


def summary_lines(table: "pd.DataFrame", references: Sequence[str]) -> list[str]:
    """The table for a terminal, in columns: without the intervals of
    distances, and the trained parameters in one number.
    """
    rows = [
        {
            "method": str(row["row"]),
            "rate": f"{row['rate']:g}".replace("nan", "plan's"),
            "Dice": with_interval(row, "dice", 4),
            "HD95": number(row["hd95_mm"], 2),
            "NSD": number(row["nsd_1mm"], 4),
            **{
                f"to {reference}": (
                    f"{number(row[f'to_{reference}'], 4, sign=True)}, p {p_text(row[f'to_{reference}_p_holm'])}"
                    if row[f"to_{reference}"] == row[f"to_{reference}"]
                    else "-"
                )
                for reference in references
                if f"to_{reference}" in row.index
            },
            "trained": f"{int(row['trained']):,}",
            "s per step": number(row["seconds_a_step"], 3),
            "peak MB": number(row["peak_memory_mb"], 0),
        }
        for _, row in table.iterrows()
    ]
    listed = [list(rows[0]), *(list(row.values()) for row in rows)] if rows else []
    widths = [max(len(line[column]) for line in listed) for column in range(len(listed[0]))] if listed else []
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in listed]


def markdown(table: "pd.DataFrame", choices: "pd.DataFrame", notes: Sequence[str], references: Sequence[str]) -> str:
    """The whole report. choices: row, rate, dice, cases, subjects, chosen, at_edge."""
    parts = ["# Comparison", "", *(f"- {note}" for note in notes)]
    if len(table):
        parts += ["", *_lines([cells(row, references) for _, row in table.iterrows()])]
    if len(choices):
        rows = [
            {
                "method": str(row["row"]),
                "rate": f"{row['rate']:g}",
                "Dice": number(row["dice"], 4),
                "cases": str(row["cases"]),
                "subjects": str(row["subjects"]),
                "chosen": ("yes, at the edge of those tried" if row["at_edge"] else "yes") if row["chosen"] else "",
            }
            for _, row in choices.iterrows()
        ]
        parts += ["", "## Learning rates, on the cases that choose", "", *_lines(rows)]
    return "\n".join(parts) + "\n"


def _lines(rows: Sequence[dict[str, str]]) -> list[str]:
    names = list(rows[0])
    return [
        f"| {' | '.join(names)} |",
        f"|{'---|' * len(names)}",
        *(f"| {' | '.join(row[name] for name in names)} |" for row in rows),
    ]


def plot_comparison(table: "pd.DataFrame", path: Path) -> None:
    """Write `comparison_figure` as PNG, atomically."""
    figure = comparison_figure(table)
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=100, format="png"))


def comparison_figure(table: "pd.DataFrame") -> "Figure":
    """Draw mean Dice with its 95 % interval over the number of trained
    parameters, on a logarithmic axis; ranks of a method are joined.
    """
    import matplotlib

    matplotlib.use("Agg", force=False)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    for method, part in table.groupby("method", sort=False):
        part = part.sort_values("trained")
        errors = [
            (part.dice - part.dice_low).fillna(0).clip(lower=0),
            (part.dice_high - part.dice).fillna(0).clip(lower=0),
        ]
        axes.errorbar(part.trained, part.dice, yerr=errors, marker="o", capsize=3, linewidth=1, label=str(method))
        for _, row in part.iterrows():
            axes.annotate(
                str(row["row"]), (row["trained"], row["dice"]), textcoords="offset points", xytext=(5, 5), fontsize=8
            )
    axes.set_xscale("log")
    axes.set_xlabel("trained parameters")
    axes.set_ylabel("mean foreground Dice, 95 % interval over subjects")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", frameon=False)  # beside the plot, for which the layout then makes room
    return figure
