"""The whole pipeline on scans that it makes itself: import, plan,
train five short folds, predict, score, and a baseline to beat.
"""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hippopt.artifacts.codec import load_record, write_bytes
from hippopt.artifacts.dataset import MEAN_FOREGROUND
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.plan_rules import default_method
from hippopt.console import Console, counted
from hippopt.files.image_io import read_scan, write_array
from hippopt.files.nifti_header import grid_of
from hippopt.imaging.orientation import orientation_code
from hippopt.imaging.preparation import prepare
from hippopt.inference.request import PredictionRequest
from hippopt.networks.base_files import chosen_base
from hippopt.phantoms.baseline import Scan, threshold_baseline
from hippopt.phantoms.phantom import draw_phantom, render
from hippopt.planned_dataset import PlannedDataset
from hippopt.planning.run_plan import run_name
from hippopt.recipes.planning import PlanningRequest, plan_dataset
from hippopt.recipes.prediction import predict_scans
from hippopt.recipes.training import train_folds
from hippopt.reporting.contours import Panel, plot_contours
from hippopt.reporting.scores import say_summary
from hippopt.scoring.tables import summarise, write_csv
from hippopt.stages.evaluate import LabelNames, evaluate
from hippopt.stages.import_dataset import ImportRequest, import_dataset
from hippopt.training.request import TrainingRequest
from hippopt.workspace import Workspace

DATASET = "Dataset999_Demo"
SUBJECTS, HELD_OUT = 15, 8
SPACINGS_MM = ((2.0, 2.0, 2.0), (1.8, 2.0, 2.2), (2.2, 1.8, 2.0), (2.0, 2.0, 1.7))  # x, y, z
ORIENTATIONS = ("RAS", "LPS", "LAS", "PIR", "RSA")
MARGIN = 0.15  # by which the networks are to beat an intensity threshold
TRAINING_SHARE = 0.8  # of the minutes; the rest is for making, planning, predicting and scoring


@dataclass(frozen=True)
class DemoResult:
    """Mean foreground Dice on the held-out scans, of the ensemble and of the best threshold inside the
    average shape.
    """

    dice: float
    baseline: float


def run_demo(workspace: Workspace, minutes: float, seed: int, jobs: int, console: Console) -> DemoResult:
    """Run it within about `minutes`, under the workspace's root. Raises HippoptError's kinds."""
    started = time.perf_counter()
    source, scans, reference = (workspace.root / name for name in ("labelled_scans", "new_scans", "new_scans_truth"))
    make_scans(source, scans, reference, seed, console)
    console.say(f"\n(every command below with --root {workspace.root}, or HIPPOPT_ROOT set to it)")
    console.say(
        f"$ hippopt_import {source} --id 999 --name Demo --labels anterior=1 posterior=2 --subjects"
        f" {source / 'subjects.tsv'}"
    )
    request = ImportRequest(
        source=source,
        dataset=DATASET,
        picks={"anterior": (1,), "posterior": (2,)},
        subjects=source / "subjects.tsv",
        overwrite=True,
        jobs=jobs,
    )
    made = import_dataset(workspace, request, console)
    console.say(
        f"{counted(made.cases, 'case')} of {counted(made.subjects, 'subject')}, labels {', '.join(made.voxels)}"
    )
    console.say("\n$ hippopt_plan Demo")
    plan = plan_dataset(workspace, DATASET, PlanningRequest(jobs=jobs, overwrite=True), console)
    assert plan is not None
    left = TRAINING_SHARE * minutes - (time.perf_counter() - started) / 60
    each = max(0.1, left / len(plan.folds))
    base = chosen_base(None, plan)
    console.say(f"\n$ hippopt_train Demo all {'' if base else '--method full --base none '}--minutes {each:.1f}")
    run = _train(workspace, plan, base, each, console)
    output = workspace.root / "predictions"
    console.say(f"\n$ hippopt_predict -i {scans} -o {output}")
    predict_scans(workspace, DATASET, PredictionRequest(source=scans, output=output, run=run, overwrite=True), console)
    console.say(f"\n$ hippopt_evaluate -p {output} -l {reference} -d Demo")
    table, _ = evaluate(output, reference, LabelNames({"anterior": 1, "posterior": 2}, {}), jobs, console)
    write_csv(output / "metrics.csv", table)
    foreground = table[table.label == MEAN_FOREGROUND]
    for case, value in zip(foreground.case, foreground.dice, strict=True):
        console.say(f"  {case}: mean foreground Dice {value:.3f}")
    dice = say_summary(summarise(table), console)
    baseline = _baseline(workspace, plan, scans, reference)
    picture = workspace.root / "predictions.png"
    _draw(scans, reference, output, picture)
    console.say(f"\nheld-out Dice of the five folds together: {dice:.3f}")
    console.say(
        "best intensity threshold inside the average training shape, chosen on the test scans themselves:"
        f" {baseline:.3f}"
    )
    aim = f"at least +{MARGIN} was aimed at" + (
        "" if dice >= baseline + MARGIN else " and NOT reached: give it more --minutes"
    )
    console.say(f"difference: {dice - baseline:+.3f} ({aim})")
    console.say(f"done in {(time.perf_counter() - started) / 60:.1f} min; look at {picture}")
    return DemoResult(dice, baseline)


def make_scans(source: Path, scans: Path, reference: Path, seed: int, console: Console) -> None:
    """Write labelled scans, two visits per subject, with `subjects.tsv`,
    and new scans of other subjects with their truth apart.
    """
    rng = np.random.default_rng(seed)
    lines = ["case\tsubject"]
    for number in console.track(range(SUBJECTS + HELD_OUT), "make scans", SUBJECTS + HELD_OUT):
        phantom = draw_phantom(rng)
        held_out = number >= SUBJECTS
        for visit in ("a",) if held_out else ("a", "b"):
            if visit == "b":  # the same anatomy, in another scanner on another day
                other = draw_phantom(rng)
                phantom = dataclasses.replace(
                    phantom, scanner=other.scanner, noise_seed=other.noise_seed, centre_mm=other.centre_mm
                )
            spacing = SPACINGS_MM[int(rng.integers(len(SPACINGS_MM)))]
            image, label, affine = render(phantom, spacing, ORIENTATIONS[int(rng.integers(len(ORIENTATIONS)))])
            case = f"demo_{number:02d}{visit}"
            grid = grid_of((label.shape[0], label.shape[1], label.shape[2]), affine)
            write_array((scans if held_out else source / "images") / f"{case}.nii.gz", image.T, grid)
            write_array((reference if held_out else source / "labels") / f"{case}.nii.gz", label.T, grid)
            if not held_out:
                lines.append(f"{case}\tsubject_{number:02d}")
    write_bytes(source / "subjects.tsv", ("\n".join(lines) + "\n").encode())
    console.say(
        f"made {2 * SUBJECTS} labelled scans of {SUBJECTS} subjects in {source}, and {HELD_OUT} new ones in {scans}"
    )


def _train(workspace: Workspace, plan: Plan, base: str | None, minutes: float, console: Console) -> str:
    """Train all folds with hippopt_train's defaults; the name of the run."""
    fingerprint = load_record(workspace.fingerprint(DATASET), Fingerprint, "hippopt_demo")
    method = default_method(plan, base is not None)
    request = TrainingRequest(method=method, base=base, minutes=minutes, overwrite=True)
    folds = [str(number) for number in range(len(plan.folds))]
    train_folds(PlannedDataset(workspace, DATASET, plan, fingerprint), folds, request, console, time.perf_counter())
    return run_name(method, plan.adapter.rank, "")


def _baseline(workspace: Workspace, plan: Plan, scans: Path, reference: Path) -> float:
    """The threshold's Dice, on the images and in the space that the networks see."""
    cached = workspace.preprocessed(DATASET)
    train = [
        (np.load(cached / f"{case}.npy")[0], np.load(cached / f"{case}_label.npy"))
        for case in plan.folds[0].train + plan.folds[0].val
    ]
    test: list[Scan] = []
    for path in sorted(scans.glob("*.nii.gz")):
        scan, truth = read_scan(path), read_scan(reference / path.name)
        prepared = prepare(scan.array[None].astype(np.float32), scan.grid, plan, truth.array)
        assert prepared.label is not None
        test.append((prepared.image[0], prepared.label))
    return threshold_baseline(train, test).mean_foreground_dice


def _draw(scans: Path, reference: Path, output: Path, picture: Path) -> None:
    panels = []
    for path in sorted(scans.glob("*.nii.gz")):
        scan, truth, mask = (read_scan(folder / path.name) for folder in (scans, reference, output))
        panels.append(
            Panel(path.name.removesuffix(".nii.gz"), scan.array, truth.array, mask.array, orientation_code(scan.grid))
        )
    plot_contours(panels, picture)
