"""Row 105: a fold trains and validates on the arrays that were held against
its plan, or stops: none that was made anew meanwhile is mixed in.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest

from hippopt.batches.patches import TrainingCase, file_state
from hippopt.errors import StaleArtifactError
from hippopt.recipes import training
from hippopt.training.lock import fold_lock
from tests.synthetic import TINY, Command
from tests.trained import DATASET, NO_PLOTS, assert_stopped, contents, copied, fold_path, running, train_arguments

OTHER_SPACING = ("--device", "cpu", "--set", *TINY, "target_spacing_mm=2,2,2")


def test_row_105_later_folds_do_not_train_on_arrays_of_another_plan(
    trained_root: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, real = copied(trained_root, tmp_path, results=False), training.validate_fold

    def then_planned_anew(*arguments: object) -> float:
        dice = real(*arguments)  # type: ignore[arg-type]
        for path in (root / "preprocessed" / DATASET).glob("*.npy"):  # as another process does, file by file
            np.save(path.with_suffix(".new.npy"), np.load(path)[..., ::2])
            path.with_suffix(".new.npy").replace(path)
        return dice

    monkeypatch.setattr(training, "validate_fold", then_planned_anew)
    outcome = run_command("train", *train_arguments(root, "--jobs", 1, fold="all"))
    assert_stopped(outcome, root / "preprocessed", "made anew since this training began", code=1)
    assert (fold_path(root, 0) / "summary.json").exists() and not (fold_path(root, 1) / "adapter.json").exists()


@pytest.mark.parametrize("name", ["image", "label"])
def test_row_105_each_array_of_a_case_is_checked_when_it_is_opened(tmp_path: Path, name: str) -> None:
    paths = {kind: tmp_path / f"{kind}.npy" for kind in ("image", "label")}
    for path in paths.values():
        np.save(path, np.zeros((1, 2, 2, 2)))
    case = TrainingCase("a", paths["image"], paths["label"], (file_state(paths["image"]), file_state(paths["label"])))
    shutil.copy(paths[name], tmp_path / "copy")
    (tmp_path / "copy").replace(paths[name])
    with pytest.raises(StaleArtifactError, match=rf"{name}\.npy: made anew"):
        getattr(case, name)


def test_row_105_planning_and_importing_anew_wait_for_folds_that_train(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    source = tmp_path / "source"
    shutil.copytree(root / "raw_data" / DATASET, source)
    with running(tmp_path, "train", train_arguments(root, steps=100_000), before=NO_PLOTS) as process:
        process.wait_until((fold_path(root) / "resume.safetensors").exists)
        before = contents(root / "raw_data") | contents(root / "plans") | contents(root / "preprocessed")
        for outcome in (
            run_command("plan", "--root", root, "--overwrite", *OTHER_SPACING),
            run_command("import_dataset", source, "--id", 7, "--name", "Blob", "--root", root, "--overwrite"),
        ):
            assert_stopped(outcome, f"process {process.process.pid}", "wait for it", code=1)
        assert contents(root / "raw_data") | contents(root / "plans") | contents(root / "preprocessed") == before
    # a lock that a killed process left holds up nothing
    code, _, err = run_command("plan", "--root", root, "--overwrite", *OTHER_SPACING)
    assert code == 0, err


def test_row_105_a_lock_of_another_host_holds_them_up_too(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    lock = fold_path(root) / "lock.json"
    lock.parent.mkdir(parents=True)
    lock.write_text('{"pid": 1, "host": "another-machine"}')
    assert_stopped(run_command("plan", "--root", root, "--overwrite", *OTHER_SPACING), "another-machine", code=1)
    lock.unlink()
    with fold_lock(lock):
        pass
    assert not lock.exists()
