"""SynthesisSettings: how scans are made from label maps. It stands in the card of every base that was trained on them.

Triples are (Z, Y, X). Probabilities and ranges follow SynthSeg's idea (Billot et al. 2023: random contrast), with
T1-like contrast weighted higher, since T1 is what hippopt's users have.
"""

from hippopt.artifacts.codec import Record


class SynthesisSettings(Record, frozen=True, kw_only=True):
    """Ranges that a synthetic scan is drawn from; lengths in mm, angles in degrees, intensities as shares of white
    matter's.

    share_t1: of the scans with T1-like contrast; the others have a random mean a tissue. scaling: of all axes together;
    axis_scaling: standard deviation of each axis's own, as a logarithm. field_of_view: range of the imaged box as a
    share of the patch, an axis; outside it there is nothing, as in small crops. alveus: greatest share of white matter
    in the hippocampus's upper rim, which tracers count to the structure (cards from before it say nothing of it, and
    had none). offset_mm: how far the structure's middle lies from that of the field of view (standard deviation):
    users' crops are made around it.
    """

    patch_size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    share_t1: float = 0.85
    p_flip: float = 0.5
    rotation_degrees: float = 14.0
    scaling: tuple[float, float] = (0.85, 1.18)
    axis_scaling: float = 0.06
    shear: float = 0.06
    elastic_mm: tuple[float, float] = (3.5, 1.0)
    elastic_control_mm: tuple[float, float] = (24.0, 10.0)
    p_field_of_view: float = 0.6
    field_of_view: tuple[float, float] = (0.55, 1.0)
    offset_mm: float = 2.5
    p_strip: float = 0.25
    tissue_texture: float = 0.06
    blur_mm: tuple[float, float] = (0.2, 0.9)
    p_low_resolution: float = 0.25
    low_resolution: tuple[float, float] = (1.2, 2.5)
    bias_field: float = 0.25
    noise: float = 0.06
    gamma: float = 0.25
    alveus: float = 0.0
