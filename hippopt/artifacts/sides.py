"""Left and right: which side a label's name states, which labels are twins, and what a plan records of both
by class.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from hippopt.artifacts.codec import Record

Side = Literal["left", "right"]
WORDS: dict[Side, tuple[str, ...]] = {"left": ("left", "lh", "l"), "right": ("right", "rh", "r")}
SIDE_WORDS = {word: side for side, words in WORDS.items() for word in words}
OTHER: dict[Side, Side] = {"left": "right", "right": "left"}
BETWEEN = r"[ _.\-]+"  # what stands between the words of a name
PIECES = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
UNDERSTOOD = (
    "left_x, x_left, lh_x and x_lh are understood, l_x and x_l too where r_x or x_r is there; so are right ones"
)


class Twins(Record, frozen=True, kw_only=True):
    """One structure on both sides: its classes (indices into the plan's `class_names`), and its name without a side."""

    name: str
    left: int
    right: int


class SideClasses(Record, frozen=True, kw_only=True):
    """Left and right among the classes of a plan (indices into its `class_names`, 0 being the background), made once,
    at planning.

    left, right: the classes of each side. twins: in the order of the network's classes where it knows one side only.
    """

    left: tuple[int, ...]
    right: tuple[int, ...]
    twins: tuple[Twins, ...]

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """(left, right) classes of each pair of twins."""
        return tuple((twin.left, twin.right) for twin in self.twins)

    @property
    def complete(self) -> bool:
        """Whether there are sides, and each class that has one has a twin: only then is a mirror image a sound scan."""
        paired = {index for pair in self.pairs for index in pair}
        return bool(paired) and paired == {*self.left, *self.right}

    @property
    def other(self) -> dict[int, int]:
        """Each class that has a side -> its twin's class, or 0 (the background) where it has none."""
        twins = {first: second for left, right in self.pairs for first, second in ((left, right), (right, left))}
        return {index: twins.get(index, 0) for index in sorted((*self.left, *self.right))}


def sides_of_names(labels: Iterable[str]) -> dict[str, Side]:
    """The labels whose names state a side by their first or last word, and that side.

    A single letter counts only beside its twin.
    """
    names = [name for name in labels if name != "background"]
    sure: dict[str, Side] = {}
    letters: dict[str, Side] = {}
    for name in names:
        words = re.split(BETWEEN, name.lower())
        stated = {SIDE_WORDS[word]: len(word) for word in (words[0], words[-1]) if word in SIDE_WORDS}
        if len(stated) == 1:  # not both sides
            ((side, length),) = stated.items()
            (letters if length == 1 else sure)[name] = side
    twins = {name for pair in pair_names(letters) for name in pair}
    found = sure | {name: side for name, side in letters.items() if name in twins}
    return {name: found[name] for name in names if name in found}


def pair_names(sides: Mapping[str, Side]) -> tuple[tuple[str, str], ...]:
    """(left, right) labels that have the same name once their sides are taken out, in the order of the labels."""
    stems: dict[str, dict[Side, list[str]]] = {}
    for name, side in sides.items():
        stems.setdefault(name_without_side(name, side), {"left": [], "right": []})[side].append(name)
    return tuple(
        (both["left"][0], both["right"][0]) for both in stems.values() if len(both["left"]) == len(both["right"]) == 1
    )


def name_without_side(name: str, side: Side) -> str:
    """The name without the word that states its side, if it has
    one: `hippocampus_left`, `lh-hippocampus` -> `hippocampus`.
    """
    words = "|".join(WORDS[side])
    stem = re.sub(rf"(?i)(?<![a-z])(?:{words})(?![a-z])", "", name, count=1)
    stem = re.sub(rf"(?i){side}", "", name, count=1) if stem == name else stem
    return re.sub(r"([ _.\-])[ _.\-]+", r"\1", stem).strip(" _.-")


def side_classes(class_names: tuple[str, ...], sides: Mapping[str, Side]) -> SideClasses | None:
    """The record of a plan with these classes and sides; None where no label has a side."""
    if not sides:
        return None
    index = class_names.index
    return SideClasses(
        left=tuple(i for i, name in enumerate(class_names) if sides.get(name) == "left"),
        right=tuple(i for i, name in enumerate(class_names) if sides.get(name) == "right"),
        twins=tuple(
            Twins(name=name_without_side(left, "left") or left, left=index(left), right=index(right))
            for left, right in pair_names(sides)
        ),
    )


def side_classes_of_old_plan(
    labels: Mapping[str, int], sides: Mapping[str, Side], swap: Iterable[tuple[int, int]]
) -> SideClasses:
    """What a plan made before `side_classes` meant by its pairs of label values to swap.

    Names are those that its networks bear.
    """
    values = sorted(labels.values())
    names = [name for name, _ in sorted(labels.items(), key=lambda item: item[1])]
    twins = [
        Twins(
            name=names[values.index(left)].replace("left", "").strip("_- ") or names[values.index(left)],
            left=values.index(left),
            right=values.index(right),
        )
        for left, right in swap
        if left in values and right in values  # other ones break a rule of plans
    ]
    return SideClasses(
        left=tuple(i for i, name in enumerate(names) if sides.get(name) == "left"),
        right=tuple(i for i, name in enumerate(names) if sides.get(name) == "right"),
        twins=tuple(twins),
    )


def unread_sides(labels: Iterable[str], sides: Mapping[str, Side]) -> str | None:
    """A warning that names the labels that look like one of a side but are not taken for one; None where
    there is none.
    """
    names = [name for name in labels if name not in sides and name != "background"]
    looking = [name for name in names if _looks_sided(name, set(names))]
    if not looking:
        return None
    many = len(looking) > 1
    return (
        f"label{'s' if many else ''} {', '.join(looking)}: {'these look' if many else 'it looks'} like one of a side,"
        f" but {'are' if many else 'is'} "
        f'not taken for one ({UNDERSTOOD}); where a side is meant, rename the label or write "sides": '
        f'{{"{looking[0]}": "{_likely(looking[0])}"}} into dataset.json'
    )


def _looks_sided(name: str, others: set[str]) -> bool:
    pieces = [piece.lower() for piece in PIECES.findall(name)]
    if any(
        piece in SIDE_WORDS and (len(piece) > 1 or place in (0, len(pieces) - 1)) for place, piece in enumerate(pieces)
    ):
        return True
    mirrored = [re.sub(side, OTHER[side], name.lower()) for side in WORDS]
    letters = {"l": "r", "r": "l"}
    mirrored += [letters[name[0].lower()] + name[1:].lower()] if name[:1].lower() in letters else []
    mirrored += [name[:-1].lower() + letters[name[-1].lower()]] if name[-1:].lower() in letters else []
    return any(other in mirrored and other != name.lower() for other in map(str.lower, others))


def _likely(name: str) -> Side:
    pieces = [piece.lower() for piece in PIECES.findall(name)]
    stated = [SIDE_WORDS[piece] for piece in pieces if piece in SIDE_WORDS]
    return stated[0] if stated else "right" if "right" in name.lower() or name.lower().startswith("r") else "left"
