"""Scans with the contours of a mask and its reference, as a sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hippopt.artifacts.codec import write_atomically

COLUMNS = 4


@dataclass(frozen=True)
class Panel:
    """One scan. image, reference, mask: (Z, Y, X) on the same axes."""

    title: str
    image: np.ndarray
    reference: np.ndarray
    mask: np.ndarray


def plot_contours(panels: Sequence[Panel], path: Path, title: str = "reference in green, segmentation in red") -> None:
    """A panel a scan: the slice with most of the reference, the reference in green, the mask in red. Written atomically as PNG."""
    from matplotlib.figure import Figure

    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(3 * COLUMNS, 3.2 * rows), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, panel in zip(axes, panels, strict=False):
        extents = [int(np.ptp(where)) for where in np.nonzero(panel.reference)] if panel.reference.any() else list(panel.image.shape)
        across = int(np.argmin(extents))  # the longer sides of the structure show in the other two
        index = int(np.argmax(np.moveaxis(panel.reference > 0, across, 0).sum((1, 2))))
        image, reference, mask = (np.take(array, index, across) for array in (panel.image, panel.reference, panel.mask))
        axis.imshow(image, cmap="gray", origin="lower", vmin=float(np.percentile(image, 1)), vmax=float(np.percentile(image, 99)))
        for values, colour in ((mask, "red"), (reference, "lime")):  # the reference above
            if values.any():
                axis.contour(values, levels=np.arange(0.5, max(2, values.max())), colors=colour, linewidths=1)
        axis.set_title(panel.title, fontsize=9)
    figure.suptitle(title)
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=90, format="png"))
