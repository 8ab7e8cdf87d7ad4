"""What a newcomer stumbled over once."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.synthetic import TINY, Command
from tests.trained import begin_fold, copied, fold_path, run_path, train_arguments


def test_masks_of_another_run_are_not_kept(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans, masks = trained_root / "raw_data" / "Dataset007_Blob" / "imagesTr", tmp_path / "masks"
    common = ("-i", scans, "-o", masks, "--root", trained_root, "--device", "cpu")
    assert run_command("predict", *common, "-f", 0)[0] == 0
    made = json.loads((masks / "prediction.json").read_text())
    assert made["run"] == "full" and made["folds"] == ["0"] and len(made["adapters_sha256"]) == 1
    before = {path.name: path.read_bytes() for path in masks.iterdir()}
    code, _, err = run_command("predict", *common, "-f", 1)
    assert code == 1 and "folds ['0'] -> ['1']" in err and "--overwrite" in err
    assert {path.name: path.read_bytes() for path in masks.iterdir()} == before
    code, out, _ = run_command("predict", *common, "-f", 0)
    assert code == 0 and "kept 6" in out
    assert run_command("predict", *common, "-f", 1, "--overwrite")[0] == 0
    assert json.loads((masks / "prediction.json").read_text())["folds"] == ["1"]


def test_resume_needs_no_more_than_resume(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    """Steps and seed of the run that was stopped are taken from it."""
    root = copied(trained_root, tmp_path, results=False)
    folder = begin_fold(root)
    started = json.loads((folder / "run.json").read_text())
    code, out, err = run_command("train", "Blob", 0, "--root", root, "--method", "full", "--device", "cpu", "--resume")
    assert code == 0, err
    assert json.loads((folder / "run.json").read_text()) == started
    assert json.loads((folder / "adapter.json").read_text())["step"] == started["steps"] == 12
    assert "next: hippopt_train Blob 1" in out


def test_all_folds_are_scored_together(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(trained_root, tmp_path)
    code, out, err = run_command("train", *train_arguments(root, "--overwrite", fold=0))
    assert code == 0, err
    together = pd.read_csv(run_path(root) / "out_of_fold.csv")
    apart = [pd.read_csv(fold_path(root, fold) / "metrics.csv") for fold in (0, 1)]
    assert len(together) == sum(map(len, apart)) and set(together.case) == {
        case for table in apart for case in table.case
    }
    assert "out of fold, 2 of" in out
    assert json.loads((run_path(root) / "out_of_fold.json").read_text())


@pytest.mark.parametrize(
    ("subjects", "words"),
    [(1, "one subject: no interval"), (4, "4 subjects: too few for an interval"), (5, "95 % interval over 5 subjects")],
)
def test_few_subjects_have_no_interval(subjects: int, words: str) -> None:
    import numpy as np

    from hippopt.console import SilentConsole
    from hippopt.reporting.scores import say_summary
    from hippopt.scoring.metrics import score_case
    from hippopt.scoring.tables import ScoredCase, case_table, summarise

    mask = np.zeros((4, 4, 4), np.int32)
    mask[1:3, 1:3, 1:3] = 1
    console = SilentConsole()
    scores = tuple(score_case(mask, mask, (1, 1, 1), {"part": 1}))
    say_summary(
        summarise(case_table([ScoredCase(f"case_{number}", f"S{number}", scores) for number in range(subjects)])),
        console,
    )
    assert all(words in line and "nan" not in line for line in console.lines)


def test_a_short_training_is_called_short(workspace: Path, run_command: Command) -> None:
    assert run_command("plan", "--root", workspace, "--device", "cpu", "--set", *TINY)[0] == 0
    arguments = ("train", "Blob", 0, "--root", workspace, "--method", "full", "--device", "cpu")
    assert "hardly trained" in run_command(*arguments, "--steps", 2)[2]
    assert "hardly trained" not in run_command(*arguments, "--steps", 4, "--overwrite")[2]


def test_the_next_command_names_the_data_set_so_that_it_is_found(workspace: Path, run_command: Command) -> None:
    assert (
        "next: hippopt_train Blob all"
        in run_command("plan", "7", "--root", workspace, "--device", "cpu", "--set", *TINY)[1]
    )
    (workspace / "raw_data" / "Dataset008_Blob").mkdir()
    assert (
        "next: hippopt_train Dataset007_Blob all" in run_command("plan", "7", "--root", workspace, "--device", "cpu")[1]
    )
