"""Masks that are there already: whether they belong to their scans, and the rows that are measured of them."""

from pathlib import Path

import numpy as np

from hippopt.artifacts.plan import Plan
from hippopt.errors import ImageError, OutputError
from hippopt.files.image_io import read_scan
from hippopt.files.scan_listing import ScanFiles
from hippopt.inference.flags import CONSTANT, SEEN, UNLIKE
from hippopt.inference.loading import image_hash, is_constant
from hippopt.inference.outcomes import Outcomes, mask_path
from hippopt.inference.volume_table import Lines, as_text, fields_of, keep_known, lines_of
from hippopt.inference.volumes import Standards, Sureness, contrast_warning, volume_rows


class KeptMasks:
    """Looks at masks that are there. volume: which one of a 4D scan."""

    def __init__(self, outcomes: Outcomes, plan: Plan, standards: Standards, volume: int | None = None) -> None:
        self._outcomes, self._plan, self._standards, self._volume = outcomes, plan, standards, volume

    def look(self, files: ScanFiles, output: Path, verify: bool = False) -> Lines:
        """The rows of a mask, which enter the tables. verify: open the mask, whatever is known of it.

        Raises ImageError where its scan cannot be read, OutputError where it is no mask of this scan, and so may be a
        person's.
        """
        if files.fault and not files.gone:
            raise ImageError(files.fault)
        lines = () if verify and not files.gone else self._outcomes.trusted(files)
        if lines and self._has_given_head(files, lines):
            self._outcomes.take(files, lines)
            return lines
        if files.fault:
            raise ImageError(files.fault)
        lines = self._measured(files, mask_path(files, output))
        with self._outcomes.found(files, lines):
            pass
        return lines

    def _has_given_head(self, files: ScanFiles, lines: Lines) -> bool:
        """Whether the rows hold the head size that is given from outside, where one is."""
        sizes = self._standards.head_sizes
        return sizes is None or files.gone or fields_of(lines)[0]["head_size_mm3"] == as_text(sizes.of(files.id))

    def _measured(self, files: ScanFiles, path: Path) -> Lines:
        scans = [read_scan(channel, self._volume) for channel in files.channels]
        scan = scans[0]
        try:
            mask = read_scan(path)
        except ImageError as error:
            raise OutputError(f"{error}; --overwrite replaces it") from None
        unfit = ""
        if mask.grid.shape != scan.grid.shape or not np.allclose(mask.grid.affine, scan.grid.affine, atol=1e-3):
            unfit = "lies in another grid than its scan"
        elif not np.isin(mask.array, self._plan.label_values).all():
            unfit = f"holds other values than the labels {list(self._plan.label_values)}"
        if unfit:
            raise OutputError(
                f"{path}: is there already and {unfit}; choose another folder, or replace it with --overwrite"
            )
        flags = [CONSTANT] if is_constant(files, scans, self._plan) else []
        flags += [SEEN] if image_hash(files, scans) in self._standards.seen else []
        flags += [UNLIKE] if contrast_warning(files.id, mask.array, scan, self._standards.contrast) else []
        rows = volume_rows(files.id, mask.array, scan, self._plan, self._standards, Sureness(), flags)
        return lines_of(keep_known(rows, self._outcomes.known(files)))
