"""How bright each tissue of a label map is, in a T1-weighted scan or in one of any contrast."""

import numpy as np
import numpy.typing as npt

from hippopt.artifacts.synthesis import SynthesisSettings
from hippopt.batches.label_maps import ALVEUS, FADING, HEAD, LabelTable
from hippopt.imaging.arrays import Image, LabelMask

# mean of a T1-weighted scan by tissue, as a share of white matter's, and how much it varies between scans (normal, 1
# SD); a tissue named after another one lies around it, so that grey matter stays grey. In the order in which they are
# drawn.
T1_TISSUES: dict[str, tuple[float, float, str]] = {
    "air": (0.03, 0.02, ""),
    "white_matter": (1.0, 0.03, ""),
    "csf": (0.22, 0.09, ""),
    "cortex": (0.66, 0.07, ""),
    "hippocampus": (0.0, 0.05, "cortex"),
    "amygdala": (0.0, 0.05, "cortex"),
    "striatum": (0.06, 0.05, "cortex"),
    "thalamus": (0.82, 0.06, ""),
    "pallidum": (0.92, 0.05, ""),
    "ventral_diencephalon": (0.88, 0.06, ""),
    "brain_stem": (0.9, 0.05, ""),
    "choroid_plexus": (0.45, 0.15, ""),
    "vessel": (0.5, 0.25, ""),
    "lesion": (0.7, 0.15, ""),
}
UNKNOWN_TISSUE = (0.35, 0.0, "")  # of the head, where one is only to be looked at


def draw_intensities(
    tissues: tuple[str, ...], settings: SynthesisSettings, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """(mean, standard deviation of the texture) by tissue, (N,) each."""
    like_t1 = rng.random() < settings.share_t1
    drawn: dict[str, float] = {}
    for name, (mean, spread, around) in T1_TISSUES.items():
        drawn[name] = drawn.get(around, 0.0) + mean + spread * float(rng.normal()) if like_t1 else float(rng.random())
    means = np.array([max(0.0, drawn[name]) if name in drawn else float(rng.random()) for name in tissues], np.float32)
    if ALVEUS in tissues and "hippocampus" in tissues and "white_matter" in tissues:
        grey, white = (means[tissues.index(name)] for name in ("hippocampus", "white_matter"))
        means[tissues.index(ALVEUS)] = grey + (white - grey) * settings.alveus * rng.random()
        beside = settings.fading * rng.random()
        for name, share in zip(FADING, (beside, beside * rng.random()), strict=True):
            means[tissues.index(name)] = white + (grey - white) * share
    textures = (settings.tissue_texture * rng.random(len(tissues))).astype(np.float32)
    return means, textures


def painted(values: LabelMask, table: LabelTable) -> Image:
    """(Z, Y, X) label values -> float32: the mean T1 intensity of each one's tissue, to look at."""
    means = np.zeros(int(values.max()) + 1, np.float32)
    for value in map(int, np.unique(values)):
        mean, _, around = T1_TISSUES.get(table.tissues.get(value, HEAD), UNKNOWN_TISSUE)
        means[value] = mean + (T1_TISSUES[around][0] if around else 0.0)
    return means[values]
