"""Scans with the contours of a mask and its reference, as a sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hippopt.artifacts.codec import write_atomically
from hippopt.imaging.arrays import LabelMask

COLUMNS = 4
# sky blue and orange of Okabe and Ito: apart for every kind of colour vision, and on grey; the title names them
REFERENCE, MASK = "#56B4E9", "#E69F00"
NAMES = {REFERENCE: "blue", MASK: "orange"}
OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}


@dataclass(frozen=True)
class Panel:
    """One scan. image, reference, mask: (Z, Y, X) on the same axes.
    orientation: where x, y and z of these axes point, such as RAS.
    """

    title: str
    image: npt.NDArray[Any]
    reference: LabelMask
    mask: LabelMask
    orientation: str = "RAS"


def plot_contours(
    panels: Sequence[Panel], path: Path, subject: str = "", reference: str = "reference", mask: str = "segmentation"
) -> None:
    """Draw a panel per scan: the slice with most of the reference, the reference in blue, the mask in orange, and
    letters of where its edges point (R, L, A, P, S, I). Written atomically as PNG.

    subject, reference, mask: what the title says is shown, and what the two kinds of contours are.
    """
    from matplotlib.figure import Figure

    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(3 * COLUMNS, 3.2 * rows), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, panel in zip(axes, panels, strict=False):
        extents = (
            [int(np.ptp(where)) for where in np.nonzero(panel.reference)]
            if panel.reference.any()
            else list(panel.image.shape)
        )
        across = int(np.argmin(extents))  # the longer sides of the structure show in the other two
        index = int(np.argmax(np.moveaxis(panel.reference > 0, across, 0).sum((1, 2))))
        image, true, found = (np.take(array, index, across) for array in (panel.image, panel.reference, panel.mask))
        axis.imshow(
            image,
            cmap="gray",
            origin="lower",
            vmin=float(np.percentile(image, 1)),
            vmax=float(np.percentile(image, 99)),
        )
        for values, colour in ((found, MASK), (true, REFERENCE)):  # the reference above
            if values.any():
                axis.contour(values, levels=np.arange(0.5, max(2, values.max())), colors=colour, linewidths=1)
        for letter, place in edge_letters(panel.orientation, across).items():
            axis.text(*place, letter, transform=axis.transAxes, color="white", fontsize=9, ha="center", va="center",
                      bbox={"facecolor": "black", "alpha": 0.6, "pad": 1, "linewidth": 0})  # fmt: skip
        axis.set_title(panel.title, fontsize=9)
    of = f"{subject}: " if subject else ""
    figure.suptitle(f"{of}{reference} in {NAMES[REFERENCE]}, {mask} in {NAMES[MASK]}")
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=90, format="png"))


def edge_letters(orientation: str, across: int) -> dict[str, tuple[float, float]]:
    """Letter -> its place (right, up; 0 to 1) on a slice across an axis of
    (Z, Y, X), drawn with indices rising to the right and upwards.
    """
    upwards, rightwards = (code for axis, code in enumerate(reversed(orientation)) if axis != across)
    return {
        upwards: (0.5, 0.95),
        OPPOSITE[upwards]: (0.5, 0.05),
        rightwards: (0.95, 0.5),
        OPPOSITE[rightwards]: (0.05, 0.5),
    }
