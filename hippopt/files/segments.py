"""The segments that 3D Slicer writes into NRRD files: which value in which layer has which name.

Source: the keys `SegmentN_Name`, `SegmentN_LabelValue` and `SegmentN_Layer` of Slicer's segmentation files
(slicer.readthedocs.io, developer guide, modules, Segmentations). Overlapping segments lie in layers of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hippopt.errors import ImageError
from hippopt.files.text_headers import read_text_header
from hippopt.imaging.arrays import LabelMask


@dataclass(frozen=True)
class Segment:
    """One segment: its voxels have `value` in `layer`."""

    name: str
    value: int
    layer: int


def stated_segments(path: Path, own: Mapping[str, str], layers: int) -> tuple[Segment, ...]:
    """The segments of a header's own keys, in their order; none where it names none.

    Raises ImageError for two of one name.
    """
    found: list[Segment] = []
    number = 0
    while f"Segment{number}_Name" in own or f"Segment{number}_LabelValue" in own or f"Segment{number}_ID" in own:
        name = own.get(f"Segment{number}_Name", own.get(f"Segment{number}_ID", f"Segment_{number + 1}")).strip()
        # files of older versions give each segment a layer, in which it is 1
        value, layer = (
            own.get(f"Segment{number}_LabelValue", "1"),
            own.get(f"Segment{number}_Layer", str(number if layers > 1 else 0)),
        )
        if not value.strip().isdecimal() or not layer.strip().isdecimal() or not int(layer) < layers or not int(value):
            raise ImageError(
                f"{path}: segment {name!r} has value {value!r} in layer {layer!r} of {layers}; save it anew in 3D"
                " Slicer"
            )
        found.append(Segment(name, int(value), int(layer)))
        number += 1
    for name in {segment.name for segment in found}:
        if sum(segment.name == name for segment in found) > 1:
            raise ImageError(f"{path}: two segments are named {name!r}; give each its own name in 3D Slicer")
    for place in {(segment.value, segment.layer) for segment in found}:
        alike = [segment.name for segment in found if (segment.value, segment.layer) == place]
        if len(alike) > 1:
            raise ImageError(
                f"{path}: segments {' and '.join(map(repr, alike))} have one value, {place[0]}; save it anew in 3D"
                " Slicer"
            )
    return tuple(found)


def named_values(path: Path) -> dict[str, int]:
    """{name: value} of an NRRD file, of its header alone, as `flattened` gives them. Raises ImageError."""
    header = read_text_header(path)
    kinds, sizes = header.fields.get("kinds", "").split(), header.fields.get("sizes", "").split()
    layers = int(sizes[0]) if len(sizes) == 4 and kinds[:1] != ["domain"] else 1
    segments = stated_segments(path, header.own, layers)
    return dict(zip((segment.name for segment in segments), own_values(segments), strict=True))


def own_values(segments: tuple[Segment, ...]) -> list[int]:
    """The value of each segment in one label map: its own, or its place where two layers use one value."""
    values = [segment.value for segment in segments]
    return values if len(set(values)) == len(values) else list(range(1, len(values) + 1))


def flattened(path: Path, layers: npt.NDArray[Any], segments: tuple[Segment, ...]) -> tuple[LabelMask, dict[str, int]]:
    """(One label map (Z, Y, X), the value of each segment in it) of N layers (Z, Y, X, N) of any type.

    Raises ImageError where segments overlap.
    """
    own = own_values(segments)
    label = np.zeros(layers.shape[:3], np.uint16 if max(own) < 1 << 16 else np.int64)
    for value, segment in zip(own, segments, strict=True):
        inside = layers[..., segment.layer] == segment.value
        taken = label[inside]
        if taken.any():
            other = segments[own.index(int(taken[taken != 0][0]))].name
            raise ImageError(
                f"{path}: segments {other!r} and {segment.name!r} share {int((taken != 0).sum())} voxels; part them in"
                " 3D Slicer, where each voxel may have one label"
            )
        label[inside] = value
    return label, {segment.name: value for value, segment in zip(own, segments, strict=True)}
