"""Predictor: segment scans from Python. The same path as hippopt_predict, without files."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from hippopt.artifacts.grid import Grid
from hippopt.console import SilentConsole
from hippopt.errors import HippoptError, UsageError
from hippopt.files.array_scan import is_nibabel, scan_of_array, scan_of_nibabel
from hippopt.files.image_io import itk_of, read_scan
from hippopt.files.itk_reading import is_itk, scan_of_itk, unset_geometry
from hippopt.files.scan import Scan
from hippopt.files.scan_listing import ScanFiles, scan_name
from hippopt.inference.loading import prepare_scan
from hippopt.inference.segmentation import Wanted, segment
from hippopt.inference.volumes import VolumeRow
from hippopt.machine import machine_bytes
from hippopt.networks.device import choose_device
from hippopt.recipes.chosen_run import chosen_run
from hippopt.recipes.model_files import InstallRequest, install_file
from hippopt.recipes.open_run import OpenRun, open_run
from hippopt.recipes.ready_models import model_file, needed_model
from hippopt.workspace import Workspace

# a path, a SimpleITK image, a nibabel image or a numpy array (Z, Y, X); one per channel, in a list, where there are
# several
Source = Any


@dataclass(frozen=True)
class Prediction:
    """One segmented scan. Arrays (Z, Y, X) lie in its own grid, on its own axes, as SimpleITK's GetArrayFromImage gives
    them.

    mask: (Z, Y, X) label values. volumes: the rows of volumes.tsv, one record per label; what is not known is None.
    predicted_dice and volumes_mm3: by label; flags: what is odd, by label; warnings: what hippopt_predict would have
    printed. uncertainty: (Z, Y, X), 0 (certain) to 1; probabilities: (L, Z, Y, X), classes by rising label value; both
    None unless asked for, or where the scan is constant.
    """

    mask: npt.NDArray[np.unsignedinteger[Any]]
    grid: Grid
    volumes: tuple[VolumeRow, ...]
    warnings: tuple[str, ...]
    uncertainty: npt.NDArray[np.float32] | None
    probabilities: npt.NDArray[np.float32] | None
    scan: Scan

    @property
    def volumes_mm3(self) -> dict[str, float]:
        return {row.label: row.volume_mm3 for row in self.volumes}

    @property
    def predicted_dice(self) -> dict[str, float | None]:
        return {row.label: row.predicted_dice for row in self.volumes}

    @property
    def flags(self) -> dict[str, tuple[str, ...]]:
        return {row.label: row.flags for row in self.volumes}

    def __repr__(self) -> str:
        """Three lines: the scan, what was found in it, and what is odd."""
        shape, spacing = (
            " x ".join(f"{value:g}" for value in triple) for triple in (self.grid.shape, self.grid.spacing_mm)
        )
        flags = sorted({flag for own in self.flags.values() for flag in own})
        odd = f"flags: {', '.join(flags) or 'none'}; warnings: {len(self.warnings)}"
        return (
            f"Prediction: mask of {shape} voxels (Z, Y, X) of {spacing} mm\n "
            f" {'; '.join(map(_found, self.volumes)) or 'no label'}\n  {odd}"
        )

    def to_sitk(self) -> Any:
        """The mask as a SimpleITK image in the scan's grid."""
        return itk_of(self.mask, self.scan)


def _has_geometry(source: Source) -> bool:
    """Whether it says itself how its voxels lie: a file or an image."""
    return isinstance(source, str | Path) or is_nibabel(source) or is_itk(source)


def _one_thread() -> None:
    """Let torch compute with one thread: a forked process has none of its parent's, and would wait for them forever."""
    import torch

    torch.set_num_threads(1)


def _found(row: VolumeRow) -> str:
    """One label of a prediction in words."""
    low, high, dice = row.volume_low_mm3, row.volume_high_mm3, row.predicted_dice
    interval = f" ({low:.0f} to {high:.0f})" if low is not None and high is not None else ""
    return f"{row.label} {row.volume_mm3:.0f} mm3{interval}" + (
        f", predicted Dice {dice:.2f}" if dice is not None else ""
    )


class LoadOptions(TypedDict, total=False):
    """The options of `Predictor.load` that are given by name."""

    device: Literal["auto", "cpu", "cuda"]
    tta: bool
    checkpoint: Literal["last", "best"]
    base: str | Path | None


@dataclass(frozen=True)
class _Settings:
    """`LoadOptions` with its defaults."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    tta: bool = False
    checkpoint: Literal["last", "best"] = "last"
    base: str | Path | None = None


class Predictor:
    """The networks of a trained run, or of several that hippopt_best chose. Make it with `Predictor.load`."""

    def __init__(self, run: OpenRun, notes: Sequence[str]) -> None:
        self._run = run
        self._process = os.getpid()
        self.notes = tuple(notes)  # what was said while loading: missing folds, no calibration, ...

    @property
    def labels(self) -> dict[str, int]:
        """Label name -> value in the mask."""
        return dict(self._run.chosen.plan.labels)

    @classmethod
    def load(
        cls,
        source: str | Path | None = None,
        dataset: str | None = None,
        run: str | None = None,
        folds: Sequence[int | str] | int | str | None = None,
        **how: Unpack[LoadOptions],
    ) -> "Predictor":
        """Load the networks of a trained run.

        Args:
            source: a workspace, a run's folder in one (results/DATASET/RUN), or a file of hippopt_export or the name of
                a model that ships, which is checked whole and unpacked to a temporary folder that is gone once the
                networks are in memory. Without it the model that ships, for whole heads and brains.
            dataset: as hippopt_predict's -d; needless where there is one.
            run: as hippopt_predict's --run; needless where there is one, or where hippopt_best chose.
            folds: as hippopt_predict's -f; default: all that are trained.
            **how: `device`, where the networks compute: "auto" (default), "cpu" or "cuda". `tta=True` averages over
                flips too. `checkpoint`: the "last" of each fold (default) or its "best". `base`, as hippopt_install's
                --base: a file of the base, for a model that was exported without it.

        Returns:
            A predictor that segments any number of scans.

        Raises:
            HippoptError: one of its kinds, in one line.
        """
        path, settings = needed_model() if source is None else model_file(str(source)), _Settings(**how)
        if not path.exists():
            raise UsageError(
                f"{path}: not found; give a workspace, a run's folder, a file of hippopt_export or the name of a model"
                " that ships"
            )
        if path.is_file():
            if dataset is not None or run is not None:
                raise UsageError(f"{path}: a model file holds one run; leave dataset and run out")
            with tempfile.TemporaryDirectory() as folder:
                workspace = Workspace(Path(folder))
                request = InstallRequest(path, base=None if settings.base is None else Path(settings.base))
                installed = install_file(workspace, request, SilentConsole())
                return cls._open(workspace, installed.dataset, None, folds, settings)
        if settings.base is not None:
            raise UsageError(
                f"base {settings.base}: only for a file of hippopt_export; a workspace has its bases under"
                " results/bases"
            )
        if (path / "plan.json").is_file() and any(path.glob("*/adapter.json")):
            whole = path.resolve()
            if dataset is not None or run is not None:
                raise UsageError(f"{path}: the folder of one run; leave dataset and run out, or give the workspace")
            if whole.parent.parent.name != "results":
                raise UsageError(
                    f"{path}: a run's folder lies under results/DATASET/ of its workspace, with its base; give it there"
                )
            return cls._open(Workspace(whole.parent.parent.parent), whole.parent.name, whole.name, folds, settings)
        workspace = Workspace(path)
        if not workspace.datasets():
            raise UsageError(
                f"{path}: no workspace and no run's folder; give one, such as results/DATASET/RUN, or a file of"
                " hippopt_export"
            )
        found = workspace.resolve(dataset)
        return cls._open(workspace, found, run, folds, settings)

    @classmethod
    def _open(
        cls,
        workspace: Workspace,
        dataset: str,
        run: str | None,
        folds: Sequence[int | str] | int | str | None,
        how: "_Settings",
    ) -> "Predictor":
        if how.checkpoint not in ("last", "best"):
            raise UsageError(f"checkpoint {how.checkpoint!r}: last or best")
        if how.device not in ("auto", "cpu", "cuda"):
            raise UsageError(f"device {how.device!r}: auto, cpu or cuda")
        console = SilentConsole()
        asked = None if folds is None else tuple(str(fold) for fold in np.atleast_1d(folds).tolist())
        chosen = chosen_run(workspace, dataset, run, asked, console)
        opened = open_run(chosen, choose_device(how.device)[0], how.checkpoint, how.tta, console)
        return cls(opened, [*console.lines, *console.warnings])

    def predict(
        self,
        scan: Source | Sequence[Source],
        *,
        spacing_mm: Sequence[float] | None = None,
        affine: Any = None,
        name: str | None = None,
        volume: int | None = None,
        uncertainty: bool = False,
        probabilities: bool = False,
    ) -> Prediction:
        """Segment one scan. In a process that was forked after loading, with one thread.

        Args:
            scan: a path, a SimpleITK or nibabel image, or a numpy array (Z, Y, X); a list of them, one per channel,
                where there are several.
            spacing_mm: (z, y, x), for an array on RAS axes.
            affine: 4 x 4, voxel (x, y, z, 1) to RAS mm, for an array on any axes: the array is still (Z, Y, X), the
                transpose of nibabel's (X, Y, Z).
            name: the scan's name in the rows.
            volume: which volume of a 4D file.
            uncertainty: also give the entropy of the mean probabilities.
            probabilities: also give the class probabilities.

        Returns:
            The mask in the scan's own grid, volumes, predicted Dice, flags, and the maps that were asked for.

        Raises:
            ImageError: the scan cannot be segmented.
            UsageError: it is not known how the array's voxels lie.
        """
        if os.getpid() != self._process:
            _one_thread()
        sources = list(scan) if isinstance(scan, list | tuple) else [scan]
        wanted = self._run.chosen.plan.channel_names
        if len(sources) != len(wanted):
            raise UsageError(
                f"{len(sources)} images given, but the network takes {len(wanted)} ({', '.join(wanted)}), in a list"
            )
        scans = [self._scan(source, spacing_mm, affine, volume, name or "scan") for source in sources]
        files = ScanFiles(name or scan_name(scans[0].path), tuple(found.path for found in scans))
        loaded = prepare_scan(files, scans, self._run.chosen.plan, machine_bytes(), self._run.locators)
        found = segment(loaded, self._run.ensemble, self._run.standards, Wanted(probabilities, uncertainty))
        return Prediction(
            found.mask,
            loaded.scan.grid,
            tuple(found.rows),
            (*loaded.warnings, *found.warnings),
            found.uncertainty,
            found.probabilities,
            scans[0],
        )

    @staticmethod
    def _scan(source: Source, spacing_mm: Sequence[float] | None, affine: Any, volume: int | None, name: str) -> Scan:
        if isinstance(source, np.ndarray):
            if spacing_mm is not None and np.ndim(spacing_mm) == 0:
                raise UsageError(f"spacing_mm {spacing_mm}: give three sizes in mm, (z, y, x)")
            return scan_of_array(source, spacing_mm, affine, name)
        if (spacing_mm is not None or affine is not None) and _has_geometry(source):
            raise UsageError("spacing_mm and affine are for numpy arrays; files and images bring their own")
        if is_nibabel(source):
            return scan_of_nibabel(source, name, volume)
        if is_itk(source):
            scan = scan_of_itk(source, Path(name), volume)
            scan.notes[:0] = unset_geometry(source, name)
            return scan
        if isinstance(source, str | Path):
            if not Path(source).exists():
                raise HippoptError(f"{source}: not found")
            return read_scan(Path(source), volume)
        raise UsageError(
            f"a scan of type {type(source).__name__}; give a path, a SimpleITK or nibabel image, or a numpy array (Z,"
            " Y, X)"
        )
