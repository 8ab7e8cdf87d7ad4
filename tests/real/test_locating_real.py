"""The locator on real brains that it has not seen, and on a head with its skull."""

from pathlib import Path

import numpy as np
import pytest

from hippopt.artifacts.plan_rules import load_plan
from hippopt.files.image_io import read_scan
from hippopt.imaging.orientation import to_ras
from hippopt.imaging.scan_source import ScanSource
from hippopt.inference.regions import choose_regions
from hippopt.networks.locator import coarse_probabilities, read_locator
from tests.real.imports import MALC, MALC_VALUES, case_names, import_malc, real_folder
from tests.synthetic import TINY, Command
from tests.trained import without_plots

pytestmark = [pytest.mark.real, pytest.mark.slow]

TRAINED, UNSEEN = 8, 3
NEAR_MM = 8.0  # of the middle of the labels: a window holds the structure with 8 mm around it, and jitter was trained


def test_unseen_brains_are_located(real_data: Path, tmp_path: Path, run_command: Command) -> None:
    source = real_folder(real_data, MALC)
    names = case_names(source / "images")
    import_malc(real_data, tmp_path, run_command, names[:TRAINED])
    assert run_command("plan", "Malc", "--root", tmp_path, "--device", "cpu", "--set", *TINY)[0] == 0
    with without_plots():
        train = (
            "Malc",
            "full-data",
            "--root",
            tmp_path,
            "--method",
            "full",
            "--base",
            "none",
            "--steps",
            1,
            "--device",
            "cpu",
        )
        assert run_command("train", *train)[0] == 0
    run = tmp_path / "results" / "Dataset012_Malc" / "full"
    plan = load_plan(run / "plan.json")
    model, _ = read_locator(run / "full_data" / "locator.safetensors", run / "full_data" / "locator.json", plan)
    assert plan.locator is not None
    for name in names[TRAINED : TRAINED + UNSEEN]:
        scan, label = (read_scan(source / folder / f"{name}.nii.gz") for folder in ("images", "labels"))
        scan_source = ScanSource(scan.array.astype(np.float32)[None], scan.grid, plan)
        found = coarse_probabilities([model], scan_source.coarse(plan.locator.spacing_mm), plan)
        choice = choose_regions(found, ("left", "right"), scan_source.size_mm, plan.locator)
        assert choice.doubts == () and choice.absent == (), (name, choice)
        values = np.rint(to_ras(label.array, label.grid))
        for region, value in zip(choice.regions, MALC_VALUES.values(), strict=True):
            box = np.argwhere(values == value)
            middle = (
                (box.min(0) + box.max(0) + 1) / 2 - scan_source.properties.crop_start
            ) * scan_source.properties.ras_spacing_mm
            assert np.linalg.norm(middle - (np.add(region.low, region.high) / 2)) < NEAR_MM, (name, region)
