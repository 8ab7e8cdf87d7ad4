"""What hippopt_best tries: runs alone and together, and kinds of post-processing."""

from collections.abc import Mapping
from itertools import combinations

import pandas as pd

from hippopt.artifacts.postprocessing import Postprocessing
from hippopt.scoring.comparison import mean_dice

Together = tuple[str, ...]  # runs that predict together
NOTHING = Postprocessing()
MOST_IN_ENSEMBLES = 5  # runs of the highest Dice; ten pairs of them, and all together
ISLANDS_MM3 = (10.0, 50.0)


def runs_together(tables: Mapping[str, pd.DataFrame], single: str, ensembles: bool) -> list[Together]:
    """Single runs, then pairs of the runs of the highest Dice, then these all together."""
    found: list[Together] = [(name,) for name in tables]
    if not ensembles or len(tables) < 2:
        return found
    ranked = sorted(tables, key=lambda name: (name != single, -mean_dice(tables[name])))[:MOST_IN_ENSEMBLES]
    found += list(combinations(ranked, 2))
    return found + ([tuple(ranked)] if len(ranked) > 2 else [])


def postprocessings(labels: Mapping[str, int]) -> list[Postprocessing]:
    """Nothing; the largest part of each structure, of each label; without islands; with holes filled; and each way
    that removes parts with holes filled on top.
    """
    several = sum(1 for value in labels.values() if value) > 1
    removing = [Postprocessing(keep="largest of each structure")]
    removing += [Postprocessing(keep="largest of each label")] if several else []
    removing += [Postprocessing(islands_below_mm3=size) for size in ISLANDS_MM3]
    return [NOTHING, *removing, Postprocessing(fill_holes=True), *map(with_holes, removing)]


def with_holes(settings: Postprocessing) -> Postprocessing:
    """The same with holes filled on top."""
    return Postprocessing(keep=settings.keep, islands_below_mm3=settings.islands_below_mm3, fill_holes=True)
