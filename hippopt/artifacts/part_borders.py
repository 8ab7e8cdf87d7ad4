"""PartBorders: how the cross-sections of a structure tell where
one of its parts ends and the next begins. Plain numbers.
"""

import math

from hippopt.artifacts.codec import Record


class PartBorder(Record, frozen=True, kw_only=True):
    """Log-odds that a slice lies beyond the border = offset + sum of weights x (feature - centre) / scale."""

    offset: float
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]


class PartBorders(Record, frozen=True, kw_only=True):
    """The parts of one structure, in their order along an axis, and the border between each two that follow each other.

    axis: 0, 1, 2 for Z, Y, X on RAS axes. parts: label names by rising coordinate. borders: one less. cases: it was
    fitted to. misplaced: mean share of the structure's voxels that lie on the wrong side of the best planes across the
    axis.
    """

    axis: int
    parts: tuple[str, ...]
    borders: tuple[PartBorder, ...]
    cases: int
    misplaced: float

    def __post_init__(self) -> None:
        rows = [(border.centre, border.scale, border.weights) for border in self.borders]
        numbers = [
            value
            for border in self.borders
            for value in (border.offset, *border.centre, *border.scale, *border.weights)
        ]
        sound = (
            self.axis in (0, 1, 2)
            and len(set(self.parts)) == len(self.parts) == len(self.borders) + 1 >= 2
            and all(len({len(values) for values in row}) == 1 for row in rows)
            and all(map(math.isfinite, numbers))
            and all(value > 0 for border in self.borders for value in border.scale)
        )
        if not sound:
            raise ValueError("part_borders: parts, borders and their numbers do not fit together")
