"""What is done to a finished mask: which connected parts stay, and whether holes are filled. Chosen by hippopt_best."""

from collections.abc import Mapping
from typing import Literal

from hippopt.artifacts.codec import Record

Keep = Literal["all", "largest of each structure", "largest of each label"]


class Postprocessing(Record, frozen=True, kw_only=True):
    """How a mask is tidied. As it stands by default, nothing is done.

    A structure is all labels of one side together, or all labels where they have no sides. keep: which 26-connected
    parts stay; islands_below_mm3: parts of a structure that are smaller are removed, but never its largest; fill_holes:
    background that a structure encloses becomes the nearest label.
    """

    keep: Keep = "all"
    islands_below_mm3: float | None = None
    fill_holes: bool = False

    @property
    def nothing(self) -> bool:
        """Whether masks stay as they are."""
        return self == Postprocessing()

    @property
    def text(self) -> str:
        """A few words for people."""
        words = [] if self.keep == "all" else [f"the {self.keep.replace('of', 'part of')} alone"]
        if self.islands_below_mm3 is not None:
            words.append(f"islands below {self.islands_below_mm3:g} mm³ removed")
        if self.fill_holes:
            words.append("holes filled")
        return ", ".join(words) or "no post-processing"


def structures(labels: Mapping[str, int], sides: Mapping[str, str]) -> tuple[tuple[int, ...], ...]:
    """Values of the labels of each structure. labels: name -> value, the background among them; sides: name -> side."""
    found: dict[str, list[int]] = {}
    for name, value in labels.items():
        if value:
            found.setdefault(sides.get(name, ""), []).append(value)
    return tuple(tuple(sorted(values)) for _, values in sorted(found.items()))
