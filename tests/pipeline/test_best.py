"""hippopt_best on small trained runs: what it writes, and who follows it."""

import json
import os
import re
import shutil
import subprocess
import zipfile
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from hippopt.artifacts.best import Best
from hippopt.artifacts.codec import load_record
from hippopt.artifacts.plan_rules import load_plan
from hippopt.artifacts.postprocessing import Postprocessing
from hippopt.artifacts.trained_words import trains_in_words
from hippopt.console import SilentConsole
from hippopt.predictor import Predictor
from hippopt.recipes.chosen_run import chosen_run
from hippopt.workspace import Workspace
from tests.synthetic import TINY, Command, write_dataset
from tests.trained import DATASET, assert_stopped, contents, edit_json, train_arguments, without_plots

RUNS = ("decoder", "full")


@pytest.fixture(scope="module")
def best_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs `full` and `decoder`, both validated on two folds of six cases; hippopt_best was run.

    Read-only by convention: copy it to change it.
    """
    from hippopt.cli import best, plan, train

    root = tmp_path_factory.mktemp("best")
    write_dataset(root)
    cases = [f"case_{number:03d}" for number in range(6)]
    folds = [{"train": cases[:3], "val": cases[3:]}, {"train": cases[3:], "val": cases[:3]}]
    (root / "splits.json").write_text(json.dumps(folds))
    arguments = ["Blob", "--root", str(root), "--jobs", "1", "--splits", str(root / "splits.json"), "--set", *TINY]
    assert plan.main(arguments) == 0
    with without_plots():
        for fold in (0, 1):
            assert train.main(train_arguments(root, fold=fold, steps=2)) == 0
            base = str(root / "results" / DATASET / "full" / "fold_0")
            more = ("--base", base, "--allow-seen")
            assert train.main(train_arguments(root, *more, fold=fold, method="decoder", steps=2)) == 0
    assert best.main(["Blob", "--root", str(root), "--device", "cpu"]) == 0
    return root


@pytest.fixture
def root(best_root: Path, tmp_path: Path) -> Path:
    shutil.copytree(best_root, tmp_path / "ws")
    return tmp_path / "ws"


def record(root: Path) -> Best:
    return load_record(root / "results" / DATASET / "best.json", Best, "hippopt_best")


def chosen(root: Path, runs: tuple[str, ...], settings: Postprocessing) -> None:
    """Let best.json choose something else, as other figures would have."""

    def edit(data: dict[str, Any]) -> None:
        data["runs"] = list(runs)
        data["postprocessing"] = {
            "keep": settings.keep,
            "islands_below_mm3": settings.islands_below_mm3,
            "fill_holes": settings.fill_holes,
        }

    edit_json(root / "results" / DATASET / "best.json", edit)


def predicted(run_command: Command, root: Path, output: Path, *more: object) -> tuple[np.ndarray, str]:
    """(the mask of the first scan, all that was said)."""
    scan = root / "raw_data" / DATASET / "imagesTr" / "case_000_0000.nii.gz"
    code, out, err = run_command("predict", "-i", scan, "-o", output, "--root", root, "--device", "cpu", *more)
    assert code == 0, err
    masks = [path for path in output.glob("*.nii.gz") if "probabilities" not in path.name]
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(masks[0])), out + err


def probabilities(run_command: Command, root: Path, output: Path, run: str) -> np.ndarray:
    """(L, Z, Y, X) of one run."""
    predicted(run_command, root, output, "--run", run, "--save-probabilities")
    path = next(output.glob("*_probabilities.nii.gz"))
    image = SimpleITK.ReadImage(path)
    array = SimpleITK.GetArrayFromImage(image)
    return array if array.ndim == 4 and array.shape[0] == 3 else np.moveaxis(array, -1, 0)


def test_the_record_says_what_the_validation_says(best_root: Path) -> None:
    best = record(best_root)
    rows = {each.name: each for each in best.candidates if each.step == "run"}
    assert set(rows) == set(RUNS) == set(best.compared)
    for run in RUNS:  # a single run's figures are those of its own validation
        out_of_fold = json.loads((best_root / "results" / DATASET / run / "out_of_fold.json").read_text())
        own = next(
            row["mean"] for row in out_of_fold["rows"] if (row["label"], row["metric"]) == ("mean foreground", "dice")
        )
        assert rows[run].dice == pytest.approx(own) and rows[run].cases == 6
    steps = [each.step for each in best.candidates]
    assert steps.count("ensemble") == 1 and steps.count("postprocessing") == 5
    assert len(best.runs) == 1 and best.rule and not best.left_out
    top = max(row.dice or 0 for row in rows.values())
    assert (rows[best.runs[0]].dice or 0) > top - 0.001


def test_prediction_follows_the_choice_and_run_overrides(
    best_root: Path, root: Path, run_command: Command, tmp_path: Path
) -> None:
    other = next(run for run in RUNS if run != record(root).runs[0])
    _, said = predicted(run_command, root, tmp_path / "a")
    assert "by hippopt_best" in said and f"run {record(root).runs[0]}, fold 0 1" in said
    _, said = predicted(run_command, root, tmp_path / "b", "--run", other)
    assert "by hippopt_best" not in said and f"run {other}, fold 0 1" in said
    identity = json.loads((tmp_path / "b" / "prediction.json").read_text())
    assert identity["run"] == other and "runs" not in identity and "postprocessing" not in identity


def test_a_bids_data_set_and_a_cluster_follow_the_choice(
    root: Path, run_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen(root, ("decoder",), Postprocessing())
    monkeypatch.setenv("HIPPOPT_ROOT", str(root))
    scan = root / "raw_data" / DATASET / "imagesTr" / "case_000_0000.nii.gz"
    bids = tmp_path / "bids" / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    bids.parent.mkdir(parents=True)
    shutil.copy(scan, bids)
    (tmp_path / "bids" / "dataset_description.json").write_text('{"Name": "Blobs", "BIDSVersion": "1.10.0"}')
    code, _, err = run_command("bids", tmp_path / "bids", tmp_path / "derived", "participant", "--device", "cpu")
    assert code == 0, err
    (made,) = (tmp_path / "derived").rglob("*_dseg.nii.gz")
    mask, _ = predicted(run_command, root, tmp_path / "out", "--run", "decoder")
    other, _ = predicted(run_command, root, tmp_path / "other", "--run", "full")
    of_bids = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(made))
    assert np.array_equal(of_bids, mask) and not np.array_equal(of_bids, other)
    (tmp_path / "scans").mkdir()
    shutil.copy(scan, tmp_path / "scans")
    script = tmp_path / "parts.sbatch"
    code, _, err = run_command("predict", "-i", tmp_path / "scans", "-o", tmp_path / "parts", "--slurm", script)
    assert code == 0, err
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": "1"}
    subprocess.run(["bash", script], check=True, env=environment, capture_output=True)
    of_part = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(next((tmp_path / "parts").glob("case_*.nii.gz"))))
    assert np.array_equal(of_part, mask)


@pytest.mark.slow
def test_the_better_run_on_whole_brains_is_chosen(head_root: Path, run_command: Command, tmp_path: Path) -> None:
    """Two sides that are located: a run that was hardly trained is left, and the choice segments."""
    root = tmp_path / "heads"
    shutil.copytree(head_root, root)
    how = ("--root", root, "--method", "full", "--base", "none", "--device", "cpu", "--steps", 2)
    with without_plots():
        for name in ((), ("--name", "short")):
            code, _, err = run_command("train", "Head", "all", "--jobs", 1, "--resume", *name, *how)
            assert code == 0, err
    code, out, err = run_command("best", "Head", "--root", root, "--device", "cpu")
    assert code == 0, err
    (folder,) = (root / "results").glob("Dataset*")
    best = load_record(folder / "best.json", Best, "hippopt_best")
    assert best.runs == ("full",) and {"full", "full-short"} <= {each.name for each in best.candidates}
    scan = next((root / "raw_data").glob("*/imagesTr/*.nii.gz"))
    masks = []
    for name in ((), ("--run", "full")):
        output = tmp_path / "-".join(("out", *name))
        code, out, err = run_command("predict", "-i", scan, "-o", output, "--root", root, "--device", "cpu", *name)
        assert code == 0 and "run full, fold 0 1 2" in out + err and ("by hippopt_best" in out + err) != bool(name)
        masks.append(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(next(output.glob("*.nii.gz")))))
    assert masks[0].any() and np.array_equal(*masks)


def test_runs_together_are_the_mean_of_their_probabilities(root: Path, run_command: Command, tmp_path: Path) -> None:
    each = [probabilities(run_command, root, tmp_path / run, run) for run in RUNS]
    chosen(root, RUNS, Postprocessing())
    mask, said = predicted(run_command, root, tmp_path / "both", "--save-probabilities")
    assert "run decoder, fold 0 1; run full, fold 0 1" in said
    expected = (each[0].astype(np.float64) + each[1]) / 2
    ordered = np.sort(expected, axis=0)
    sure = ordered[-1] - ordered[-2] > 0.01  # the files hold probabilities rounded
    assert sure.mean() > 0.5 and np.array_equal(mask[sure], expected.argmax(0)[sure])
    identity = json.loads((tmp_path / "both" / "prediction.json").read_text())
    assert identity["runs"] == list(RUNS) and len(identity["adapters_sha256"]) == 4


def test_post_processing_is_applied_by_the_command_and_the_predictor(
    root: Path, run_command: Command, tmp_path: Path
) -> None:
    run = record(root).runs[0]
    as_it_is, _ = predicted(run_command, root, tmp_path / "plain", "--run", run)
    from hippopt.imaging.postprocessing import postprocess

    settings = Postprocessing(keep="largest of each structure", fill_holes=True)
    chosen(root, (run,), settings)
    tidy, said = predicted(run_command, root, tmp_path / "tidy")
    expected = postprocess(as_it_is, settings, ((1, 2),), (1.0, 1.0, 1.0))
    assert not np.array_equal(expected, as_it_is), "nothing to tidy: the test would not see it"
    assert np.array_equal(tidy, expected) and "the largest part of each structure alone, holes filled" in said
    scan = root / "raw_data" / DATASET / "imagesTr" / "case_000_0000.nii.gz"
    assert np.array_equal(Predictor.load(root, device="cpu").predict(scan).mask, expected)
    assert np.array_equal(Predictor.load(root, run=run, device="cpu").predict(scan).mask, as_it_is)
    # masks made with it are not kept by a prediction without it
    scan_arguments = ("-i", scan, "-o", tmp_path / "tidy", "--root", root, "--device", "cpu", "--run", run)
    assert_stopped(run_command("predict", *scan_arguments), "made otherwise", "postprocessing", code=1)


@pytest.mark.parametrize("runs", [RUNS, ("full",)])
def test_export_and_install_carry_the_choice(
    root: Path, run_command: Command, tmp_path: Path, runs: tuple[str, ...]
) -> None:
    chosen(root, runs, Postprocessing(keep="largest of each structure"))
    here, _ = predicted(run_command, root, tmp_path / "here")
    file, other = tmp_path / "model.zip", tmp_path / "elsewhere"
    code, out, err = run_command("export", "Blob", file, "--root", root)
    assert code == 0 and all(f"run {run} of" in out for run in runs), err
    with zipfile.ZipFile(file) as archive:
        assert sorted(archive.namelist()) == sorted(
            ["best.json", "models.json", *(f"models/{run}.zip" for run in runs)]
        )
    assert not list(tmp_path.glob(".hippopt-export-*"))
    scan = root / "raw_data" / DATASET / "imagesTr" / "case_000_0000.nii.gz"
    # without installing it, from Python, and installed under other names
    arguments = ("-i", scan, "--device", "cpu", "--root", tmp_path / "nowhere")
    assert run_command("predict", "--model", file, "-o", tmp_path / "file", *arguments)[0] == 0
    from_file = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(next((tmp_path / "file").glob("*.nii.gz"))))
    assert np.array_equal(from_file, here)
    assert np.array_equal(Predictor.load(file, device="cpu").predict(scan).mask, here)
    code, out, err = run_command("install", file, "--root", other, "--name", "mine")
    assert code == 0, err
    names = [f"mine-{run}" for run in runs] if len(runs) > 1 else ["mine"]
    assert list(record(other).runs) == names
    shutil.copytree(root / "raw_data", other / "raw_data")
    there, said = predicted(run_command, other, tmp_path / "there")
    assert np.array_equal(there, here) and "by hippopt_best" in said
    # --run exports one run as before
    assert run_command("export", "Blob", tmp_path / "one.zip", "--root", root, "--run", "full")[0] == 0
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert "manifest.json" in archive.namelist()


def test_a_file_of_several_models_that_was_changed_is_refused(root: Path, run_command: Command, tmp_path: Path) -> None:
    chosen(root, RUNS, Postprocessing())
    assert run_command("export", "Blob", tmp_path / "model.zip", "--root", root)[0] == 0
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    edits = {
        "swapped": {**parts, "models/full.zip": parts["models/decoder.zip"]},
        "short": {name: data for name, data in parts.items() if name != "models/full.zip"},
        "elsewhere": {**parts, "models/../../x.zip": b""},
        "no choice": {**parts, "best.json": b"{"},
    }
    for name, edited in edits.items():
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for member, data in edited.items():
                archive.writestr(member, data)
        other = tmp_path / f"to {name}"
        assert_stopped(run_command("install", tmp_path / f"{name}.zip", "--root", other), code=1)
        assert not contents(other), name


def test_a_choice_of_networks_that_are_no_longer_here_is_refused(
    root: Path, run_command: Command, tmp_path: Path
) -> None:
    run = record(root).runs[0]
    scan = root / "raw_data" / DATASET / "imagesTr" / "case_000_0000.nii.gz"
    arguments = ("-i", scan, "-o", tmp_path / "out", "--root", root, "--device", "cpu")
    path = root / "results" / DATASET / "best.json"
    folder = root / "results" / DATASET / run
    before = path.read_text()
    # trained anew
    card = folder / "fold_1" / "adapter.json"
    kept = card.read_text()
    edit_json(card, lambda data: data.update(sha256="0" * 64))
    assert_stopped(run_command("predict", *arguments), "best.json", f"fold 1 of run {run} was trained anew", "--run")
    card.write_text(kept)
    # gone
    folder.rename(folder.with_name("moved"))
    assert_stopped(run_command("predict", *arguments), f"run {run} is gone", "hippopt_best Blob")
    folder.with_name("moved").rename(folder)
    # damaged, of another data set, of a later hippopt
    path.write_text(before[:100])
    assert_stopped(run_command("predict", *arguments), "best.json", "malformed JSON", "hippopt_best Blob")
    path.write_text(before.replace(DATASET, "Dataset008_Other"))
    assert_stopped(run_command("predict", *arguments), "Dataset008_Other", "hippopt_best Blob")
    path.write_text(before.replace('"schema": 1', '"schema": 2'))
    assert_stopped(run_command("predict", *arguments), "schema 2", "hippopt_best Blob")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").glob("*.nii.gz"))
    # a named run predicts all the same
    assert run_command("predict", *arguments, "--run", run)[0] == 0


def test_runs_that_cannot_be_compared_are_left_out_with_the_reason(root: Path, run_command: Command) -> None:
    results = root / "results" / DATASET
    shutil.rmtree(results / "decoder" / "fold_1")
    code, _, err = run_command("best", "Blob", "--root", root, "--device", "cpu")
    assert code == 0 and "run decoder: left out, fold 1 is not trained" in err, err
    assert record(root).runs == ("full",) and set(record(root).left_out) == {"decoder"}
    assert_stopped(
        run_command("best", "Blob", "--root", root, "--runs", "decoder", "full"), "fold 1 is not trained", code=2
    )
    assert_stopped(run_command("best", "Blob", "--root", root, "--runs", "none"), "no finished fold", code=2)
    (results / "full" / "fold_0" / "summary.json").unlink()
    assert_stopped(
        run_command("best", "Blob", "--root", root), "no run has all its folds validated", "hippopt_train", code=2
    )


def test_runs_of_plans_that_prepare_scans_otherwise_are_not_compared(root: Path, run_command: Command) -> None:
    path = root / "results" / DATASET / "decoder" / "plan.json"
    edit_json(path, lambda data: data.update(target_spacing_mm=[2.0, 2.0, 2.0]))
    code, _, err = run_command("best", "Blob", "--root", root, "--device", "cpu")
    assert code == 0 and "left out, its plan prepares scans otherwise than run" in err, err


def test_without_a_choice_several_runs_ask_for_one(root: Path) -> None:
    (root / "results" / DATASET / "best.json").unlink()
    from hippopt.errors import UsageError

    with pytest.raises(UsageError, match="several runs; choose one with --run: decoder, full, or let `hippopt_best"):
        chosen_run(Workspace(root), DATASET, None, None, SilentConsole())
    assert chosen_run(Workspace(root), DATASET, "full", None, SilentConsole()).plain


def report(run_command: Command, root: Path, run: str) -> str:
    code, _, err = run_command("report", "Blob", "--run", run, "--root", root)
    assert code == 0, err
    return (root / "results" / DATASET / run / "report.html").read_text()


def test_the_page_of_a_training_shows_the_choice_and_what_was_not_kept(root: Path, run_command: Command) -> None:
    text = report(run_command, root, "full")
    assert "What hippopt_best chose" in text and record(root).text in text
    for row in record(root).candidates:
        if row.step == "postprocessing":
            assert f"<td>{row.name}</td>" in text and row.why in text
    edit_json(root / "results" / DATASET / "best.json", lambda data: data.update(runs=["gone"]))
    text = report(run_command, root, "full")
    assert "What hippopt_best chose" not in text and "is not shown" in text and "run gone" in text


def test_the_page_says_what_another_run_trained_in_the_words_of_its_own_plan(root: Path, run_command: Command) -> None:
    path = root / "results" / DATASET / "decoder" / "plan.json"
    pages = []
    for parts in (["decoder", "head", "norms", "encoders"], ["decoder", "head"]):
        edit_json(path, lambda data, parts=parts: data["adapter"].update(also_trained=parts))
        words = trains_in_words("decoder", load_plan(path).adapter)
        pages.append(unescape(report(run_command, root, "full")))
        assert f"trained were {words}</td>" in pages[-1]
    assert "the transformer's layer norms" in pages[0] and "layer norms" not in pages[1]
    path.write_text("{")
    text = report(run_command, root, "full")
    assert "<td>decoder, from base" in text and "trained were" not in re.sub(r"<p.*?</p>", "", text, flags=re.DOTALL)


def test_the_base_before_training_is_shown_only_where_it_has_not_seen_the_scans(
    root: Path, run_command: Command
) -> None:
    card = next((root / "results" / "bases").glob("*.json"))
    results = root / "results" / DATASET
    assert "before any training is not shown: its classes do not mean" in report(run_command, root, "decoder")
    names = ["background", "front", "back"]
    edit_json(card, lambda data: data.update(class_names=names))
    seen = json.loads(card.read_text())["seen_images"]
    assert seen and "it was trained on some of these scans" in report(run_command, root, "decoder")
    edit_json(card, lambda data: data.update(seen_images=None))
    assert "it is not known which scans it was trained on" in report(run_command, root, "decoder")
    assert not list(results.glob("base-*.csv"))
    edit_json(card, lambda data: data.update(seen_images=[]))
    text = report(run_command, root, "decoder")
    assert "the base as it is, before any training" in text
    kept = next(results.glob("base-*.csv"))
    assert len(kept.read_text().splitlines()) == 1 + 6 * 3  # two labels and their mean, of six cases
    time = kept.stat().st_mtime_ns
    assert "the base as it is, before any training" in report(run_command, root, "decoder")
    assert kept.stat().st_mtime_ns == time  # not computed again
