"""hippopt_plan as a person uses it: folds from nnU-Net, keys decided
again, steps that count, time, and data that changed since.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.synthetic import TINY, Command, write_dataset
from tests.trained import DATASET, assert_stopped, copied, edit_json, plan_path, run_path

FAST = ("--device", "cpu", "--no-preprocess")
SPLITS = [
    {"train": ["case_000", "case_001"], "val": ["case_002"]},
    {"train": ["case_003"], "val": ["case_004", "case_000"]},
]


def planned(root: Path) -> Any:
    return json.loads(plan_path(root).read_text())


def write_splits(path: Path, splits: Any = SPLITS) -> Path:
    path.write_text(json.dumps(splits))
    return path


def test_folds_of_nnunet(workspace: Path, run_command: Command) -> None:
    lying = write_splits(workspace / "raw_data" / DATASET / "splits_final.json")
    code, out, err = run_command("plan", "--root", workspace, *FAST, "--set", *TINY)
    assert code == 0, err
    assert f"--splits {lying}" in out and len(planned(workspace)["folds"]) == 5  # noticed, not taken
    code, out, err = run_command("plan", "--root", workspace, *FAST, "--splits", lying)
    assert code == 0, err
    assert planned(workspace)["folds"] == SPLITS and planned(workspace)["reasons"]["folds"] == "as in splits_final.json"
    assert "no fold holds 1 case of the data set (case_005)" in err and "--splits" not in out
    code, _, err = run_command("plan", "--root", workspace, *FAST)
    assert code == 0 and planned(workspace)["folds"] == SPLITS  # kept, as other edits
    code, out, err = run_command("plan", "--root", workspace, *FAST, "--reset", "folds")
    assert code == 0, err
    assert len(planned(workspace)["folds"]) == 5 and "5 folds by subject" in planned(workspace)["reasons"]["folds"]


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        ([{"train": ["case_000"], "val": ["case_01"]}], ["fold 0", "case_01", "near matches: case_001"]),
        ([{"train": ["case_000"], "test": ["case_001"]}], ["fold 0", '"val"']),
        ({"train": ["case_000"]}, ["a list of"]),
        ([], ["a list of"]),
        ([{"train": ["case_000", "case_001"], "val": ["case_001"]}], ["folds[0]", "train and val"]),
        ([{"train": ["case_000"], "val": []}], ["folds[0]", "at least one case"]),
    ],
)
def test_folds_that_do_not_fit_leave_the_plan_alone(
    workspace: Path, run_command: Command, splits: Any, words: list[str]
) -> None:
    assert run_command("plan", "--root", workspace, *FAST, "--set", *TINY)[0] == 0
    before = plan_path(workspace).read_bytes()
    path = write_splits(workspace / "mine.json", splits)
    assert_stopped(run_command("plan", "--root", workspace, *FAST, "--splits", path), *words)
    assert plan_path(workspace).read_bytes() == before
    assert_stopped(
        run_command("plan", "--root", workspace, *FAST, "--splits", workspace / "mein.json"), "not found", "mine.json"
    )


def test_a_subject_of_both_sides_in_a_file_is_refused(tmp_path: Path, run_command: Command) -> None:
    write_dataset(tmp_path, cases=4, per_subject=2)
    path = write_splits(tmp_path / "mine.json", [{"train": ["case_000", "case_002"], "val": ["case_001", "case_003"]}])
    assert_stopped(run_command("plan", "--root", tmp_path, *FAST, "--splits", path), "subject S00", "train and val")


def test_plans_without_folds_are_refused_and_drawn_again(workspace: Path, run_command: Command) -> None:
    assert run_command("plan", "--root", workspace, *FAST, "--set", *TINY)[0] == 0
    assert_stopped(run_command("plan", "--root", workspace, *FAST, "--set", "folds=[]"), "folds: none", "--reset folds")
    edit_json(plan_path(workspace), lambda data: data.update(folds=[], batch_size=5))
    assert_stopped(run_command("plan", "--root", workspace, *FAST), "folds: none", "--reset folds")
    code, _, err = run_command("plan", "--root", workspace, *FAST, "--reset", "folds")
    assert code == 0, err
    assert len(planned(workspace)["folds"]) == 5 and planned(workspace)["batch_size"] == 5


def test_reset_of_the_network_wants_a_new_plan(workspace: Path, run_command: Command) -> None:
    assert run_command("plan", "--root", workspace, *FAST, "--set", *TINY)[0] == 0
    assert_stopped(
        run_command("plan", "--root", workspace, *FAST, "--reset", "network"), "another network", "--overwrite"
    )
    code, _, err = run_command("plan", "--root", workspace, *FAST, "--reset", "folds", "--overwrite")
    assert code == 2 and "--reset" in err


def test_the_steps_that_count_are_shown(workspace: Path, run_command: Command) -> None:
    code, out, _ = run_command("plan", "--root", workspace, *FAST, "--set", *TINY)
    assert code == 0 and "schedule.steps: 1500 from a base (schedule.steps_on_base), 3000 from random weights" in out
    assert "a fold takes about " in out and "3000 steps of " in out  # no base fits the tiny network
    _, out, err = run_command("plan", "--root", workspace, *FAST, "--set", "schedule.steps=70")
    assert (
        "from a base a fold takes schedule.steps_on_base, which stays 1500" in err and "70 from random weights" in out
    )
    _, out, err = run_command(
        "plan", "--root", workspace, *FAST, "--set", "schedule.steps=80", "schedule.steps_on_base=40"
    )
    assert "which stays" not in err and "40 from a base" in out


def test_edits_that_planning_anew_drops_are_named_and_no_others(workspace: Path, run_command: Command) -> None:
    assert run_command("plan", "--root", workspace, *FAST, "--set", "network.size=tiny")[0] == 0
    edit_json(plan_path(workspace), lambda data: data.update(batch_size=7))
    write_dataset(workspace, cases=7)  # other data: another hash, other folds
    code, _, err = run_command("plan", "--root", workspace, *FAST, "--overwrite")
    assert code == 0
    (line,) = [line for line in err.splitlines() if "edits of the old one are gone" in line]
    assert "batch_size: 7 -> " in line and "fingerprint_hash" not in line and "folds" not in line
    code, _, err = run_command("plan", "--root", workspace, *FAST, "--overwrite")
    assert code == 0 and "are gone" not in err


def test_a_changed_data_set_leaves_its_runs_what_they_need(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path)
    before = (root / "plans" / DATASET / "fingerprint.json").read_bytes()
    write_dataset(root, cases=7)
    code, out, err = run_command("plan", "--root", root, *FAST, "--overwrite")
    assert code == 0, err
    assert "its earlier fingerprint stays with run full" in out
    assert json.loads((run_path(root) / "fingerprint.json").read_text()) == json.loads(before)
    scan = next((root / "raw_data" / DATASET / "imagesTr").iterdir())
    code, _, err = run_command("export", "Blob", tmp_path / "model.zip", "--root", root)
    assert code == 0 and "fingerprint is gone" not in err, err
    code, _, err = run_command("predict", "-i", scan, "-o", tmp_path / "masks", "--root", root, "--device", "cpu")
    assert code == 0, err
