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
    had none). fading: greatest share of grey in the white matter beside the hippocampus, where one fades into the other
    (likewise). offset_mm: how far the structure's middle lies from that of the field of view (standard deviation):
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
    fading: float = 0.0


class HeadSynthesis(Record, frozen=True, kw_only=True):
    """Ranges that a synthetic whole head, as a locator sees it, is drawn from; lengths in mm, angles in degrees.

    share_t1: of the heads with T1-like contrast. p_strip: of those without a skull; p_no_fluid: of these, without the
    fluid around the brain too; strip_level, strip_noise: where a stripping cuts, as a share of brain around, and how
    unevenly. p_dark_air: of those whose air is exactly zero. p_neck: of those that go on below the map's end. p_crop:
    of those whose field of view lacks up to crop_share of an axis at either end; p_lobes: of those that show little
    more than the temporal lobes, with lobe_margin_mm around the hippocampi. p_thick: of those with slices of thick_mm
    along one axis. gain, offset: of the normalised image, for what a coarse image measures otherwise.
    """

    share_t1: float = 0.8
    p_flip: float = 0.5
    rotation_degrees: float = 22.0
    scaling: float = 1.25
    stretch: float = 1.1
    elastic_mm: float = 5.0
    elastic_control_mm: float = 48.0
    shift_mm: float = 40.0
    p_strip: float = 0.5
    p_no_fluid: float = 0.5
    strip_level: tuple[float, float] = (0.25, 0.75)
    strip_noise: float = 0.35
    p_dark_air: float = 0.4
    p_neck: float = 0.5
    p_crop: float = 0.4
    crop_share: float = 0.35
    p_lobes: float = 0.12
    lobe_margin_mm: tuple[float, float] = (12.0, 45.0)
    p_thick: float = 0.25
    thick_mm: tuple[float, float] = (5.0, 9.0)
    bias_field: float = 0.3
    noise: float = 0.08
    gamma: float = 0.3
    gain: tuple[float, float] = (0.7, 1.4)
    offset: float = 0.3
