"""Names and colours of the labels, for the viewers that show masks: ITK-SNAP, 3D Slicer, FreeSurfer's freeview; and for
BIDS.

The colours are those of Okabe and Ito (Color Universal Design, 2008), which readers with any kind of colour vision tell
apart; further labels have them again, darker.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from hippopt.artifacts.codec import write_bytes

COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
ITK_SNAP, SLICER, FREESURFER = "labels_itksnap.txt", "labels.ctbl", "labels_freesurfer.txt"
FILES = (ITK_SNAP, SLICER, FREESURFER)

Colour = tuple[int, int, int]


def colours(labels: Mapping[str, int]) -> dict[str, Colour]:
    """Label -> (red, green, blue), 0 to 255, in the order of values; the background has none."""
    names = [name for name, value in sorted(labels.items(), key=lambda item: item[1]) if value]
    found = {}
    for position, name in enumerate(names):
        turn, index = divmod(position, len(COLOURS))
        red, green, blue = (round(part * 0.75**turn) for part in COLOURS[index])
        found[name] = (red, green, blue)
    return found


def write_label_tables(labels: Mapping[str, int], folder: Path) -> None:
    """Write the three files beside masks, where they are not there as
    they should be. labels: name -> value, the background included.
    """
    for name, text in ((ITK_SNAP, _itk_snap(labels)), (SLICER, _slicer(labels)), (FREESURFER, _freesurfer(labels))):
        path, data = folder / name, text.encode()
        if not path.is_file() or path.read_bytes() != data:
            write_bytes(path, data)


def bids_table(labels: Mapping[str, int]) -> str:
    """The look-up table of a BIDS segmentation: index, name, abbreviation, color."""
    rows = [
        f"{labels[name]}\t{name}\t{_abbreviation(name)}\t#{red:02x}{green:02x}{blue:02x}"
        for name, (red, green, blue) in colours(labels).items()
    ]
    return "\n".join(["index\tname\tabbreviation\tcolor", *rows, ""])


def _itk_snap(labels: Mapping[str, int]) -> str:
    """Value, red, green, blue, opacity, whether it is shown in slices and in 3D, name."""
    rows = [
        f'{labels[name]:5d} {red:5d} {green:4d} {blue:4d}        1  1  1    "{name}"'
        for name, (red, green, blue) in colours(labels).items()
    ]
    head = ["# ITK-SNAP label descriptions", "# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL"]
    return "\n".join([*head, '    0     0    0    0        0  0  0    "Clear Label"', *rows, ""])


def _slicer(labels: Mapping[str, int]) -> str:
    """Value, name, red, green, blue, opacity."""
    rows = [
        f"{labels[name]} {_word(name)} {red} {green} {blue} 255" for name, (red, green, blue) in colours(labels).items()
    ]
    return "\n".join(["# 3D Slicer color table", "0 background 0 0 0 0", *rows, ""])


def _freesurfer(labels: Mapping[str, int]) -> str:
    """Value, name, red, green, blue, transparency (0: none)."""
    rows = [
        f"{labels[name]:5d}  {_word(name):40s} {red:3d} {green:3d} {blue:3d} 0"
        for name, (red, green, blue) in colours(labels).items()
    ]
    return "\n".join(
        [
            "#No.   Label Name:                              R   G   B   A",
            f"{0:5d}  {'Unknown':40s}   0   0   0 0",
            *rows,
            "",
        ]
    )


def _word(name: str) -> str:
    return re.sub(r"\s+", "_", name.strip())


def _abbreviation(name: str) -> str:
    """The first letters of a name's words: `hippocampus_left` is HL."""
    return "".join(word[0].upper() for word in re.split(r"[\s_-]+", name) if word)
