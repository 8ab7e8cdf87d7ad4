"""Labelled scans against Dice for people: two Markdown tables and a plot."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hippopt.artifacts.codec import write_atomically
from hippopt.reporting.comparison import number, p_text, with_interval

if TYPE_CHECKING:
    import pandas as pd

PANELS = (("dice", "mean Dice of the labels"), ("outline", "Dice of all labels as one"))


def curve_markdown(table: "pd.DataFrame", notes: Sequence[str], reference: str) -> str:
    """The report: Dice, Dice of the outline, and the paired difference to
    the reference, a row per method and a column per number of scans.
    """
    scans = sorted(table.scans.unique())
    parts = ["# Labelled scans against Dice", "", *(f"- {note}" for note in notes)]
    for column, title in PANELS:
        parts += [
            "",
            f"## {title[0].upper()}{title[1:]}",
            "",
            *_lines(table, scans, lambda row, name=column: with_interval(row, name, 4)),
        ]
    if f"to_{reference}" in table.columns:
        parts += [
            "",
            f"## Difference to {reference} with as many labelled scans",
            "",
            *_lines(table, scans, lambda row: _difference(row, reference)),
        ]
    return "\n".join(parts) + "\n"


def _difference(row: "pd.Series[Any]", reference: str) -> str:
    difference = with_interval(row, f"to_{reference}", 4, sign=True)
    return "-" if difference == "-" else f"{difference}, p {p_text(row[f'to_{reference}_p_holm'])}"


def _lines(table: "pd.DataFrame", scans: Sequence[int], text: Any) -> list[str]:
    rows = {}
    for name, part in table.groupby("row", sort=False):
        by_scans = {int(row["scans"]): text(row) for _, row in part.iterrows()}
        rows[name] = [by_scans.get(int(count), "-") for count in scans]
    heads = [f"{count} scan{'' if count == 1 else 's'}" for count in scans]
    return [
        f"| method | {' | '.join(heads)} |",
        f"|---|{'---|' * len(heads)}",
        *(f"| {name} | {' | '.join(found)} |" for name, found in rows.items()),
    ]


def curve_lines(table: "pd.DataFrame") -> list[str]:
    """The mean Dice of the labels for a terminal, in columns."""
    scans = sorted(table.scans.unique())
    found = table.pivot_table(index="row", columns="scans", values="dice", sort=False)
    width = max(len(str(name)) for name in [*found.index, "labelled scans"])
    lines = [f"{'labelled scans'.ljust(width)}  {'  '.join(str(count).rjust(6) for count in scans)}"]
    return lines + [
        f"{str(name).ljust(width)}  {'  '.join(number(row.get(count), 4).rjust(6) for count in scans)}"
        for name, row in found.iterrows()
    ]


def plot_curve(table: "pd.DataFrame", path: Path) -> None:
    """Mean Dice over the number of labelled scans, a line per method, and a band from the lowest to the highest seed.
    Numbers of scans stand at even distances. The base itself, where it is there, is a point at 0 and a dotted line.
    Atomic PNG.
    """
    import matplotlib

    matplotlib.use("Agg", force=False)
    from matplotlib.figure import Figure

    scans = sorted(table.scans.unique())
    places = {count: place for place, count in enumerate(scans)}
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    for axes, (column, title) in zip(figure.subplots(1, 2), PANELS, strict=True):
        for name, part in table.groupby("row", sort=False):
            part = part.sort_values("scans")
            at = [places[count] for count in part.scans]
            line = axes.plot(at, part[column], marker="o", linewidth=1.5, label=str(name))[0]
            axes.fill_between(
                at,
                part[f"{column}_seed_low"],
                part[f"{column}_seed_high"],
                color=line.get_color(),
                alpha=0.15,
                linewidth=0,
            )
            if set(part.scans) == {0}:
                axes.axhline(part[column].iloc[0], color=line.get_color(), linestyle=":", linewidth=1)
        axes.set_xticks(range(len(scans)), [str(count) for count in scans])
        axes.set_xlabel("labelled scans")
        axes.set_ylabel(f"{title}; band: lowest to highest seed")
        axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=100, format="png"))
