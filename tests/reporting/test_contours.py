"""The sheet of contours."""

from pathlib import Path

import matplotlib.image
import numpy as np

from hippopt.reporting.contours import Panel, plot_contours


def test_reference_and_mask_are_drawn(tmp_path: Path) -> None:
    """Green where the reference is, red where the mask is; an empty mask draws no red."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(10, 24, 20))
    reference = np.zeros(image.shape, np.uint8)
    reference[4:6, 5:18, 6:14] = 1

    def colours(mask: np.ndarray) -> tuple[int, int]:
        plot_contours([Panel("scan", image, reference, mask), Panel("other", image, reference * 0, mask * 0)], tmp_path / "sheet.png")
        pixels = matplotlib.image.imread(tmp_path / "sheet.png")[..., :3]
        green = (pixels[..., 1] > 0.9) & (pixels[..., 0] < 0.3) & (pixels[..., 2] < 0.3)
        red = (pixels[..., 0] > 0.9) & (pixels[..., 1] < 0.3) & (pixels[..., 2] < 0.3)
        return int(green.sum()), int(red.sum())

    green, red = colours(np.roll(reference, 3, 1))
    assert green > 50 and red > 50
    green, red = colours(reference * 0)
    assert green > 50 and red == 0
