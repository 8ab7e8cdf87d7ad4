"""Data sets that were planned before their label names were read as
sides: their runs go on, and planning anew says what differs.
"""

import json
from pathlib import Path

import pytest

from hippopt.artifacts.codec import load_record, write_json
from hippopt.artifacts.dataset import load_dataset
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.plan import Plan
from hippopt.errors import StaleArtifactError
from hippopt.recipes.training_inputs import load_unchanged
from hippopt.stages.extract_fingerprint import dataset_hash
from hippopt.workspace import Workspace
from tests.records import changed
from tests.synthetic import TINY, Command
from tests.trained import DATASET, edit_json, plan_path


def named(labels: dict[str, int], description: Path) -> None:
    edit_json(description, lambda data: {**data, "labels": {"background": 0, **labels}})


def planned_without_sides(root: Path, run_command: Command) -> Fingerprint:
    """Plan the data set of `left_x` and `right_x` as a hippopt did that read no side from these names."""
    workspace = Workspace(root)
    named({"left_x": 1, "right_x": 2}, workspace.dataset_folder(DATASET) / "dataset.json")
    assert run_command("plan", "--root", root, "--device", "cpu", "--no-preprocess", "--set", *TINY)[0] == 0
    new = load_record(workspace.fingerprint(DATASET), Fingerprint, "")
    assert new.sides == {"left_x": "left", "right_x": "right"}
    dataset = changed(load_dataset(workspace.dataset_folder(DATASET)), sides={})
    contents = {case.id: (case.image_hash, case.label_hash) for case in new.cases}
    old = changed(new, sides={}, dataset_hash=dataset_hash(dataset, contents))
    write_json(workspace.fingerprint(DATASET), old)
    plan = load_record(workspace.plan(DATASET), Plan, "")
    write_json(workspace.plan(DATASET), changed(plan, sides={}, side_classes=None, fingerprint_hash=old.dataset_hash))
    return old


def test_runs_go_on_without_the_sides(workspace: Path, run_command: Command) -> None:
    old = planned_without_sides(workspace, run_command)
    assert load_unchanged(Workspace(workspace), DATASET, old).name == DATASET
    description = workspace / "raw_data" / DATASET / "dataset.json"
    before = description.read_text()
    edit_json(description, lambda data: {**data, "sides": {"left_x": "right", "right_x": "left"}})
    with pytest.raises(StaleArtifactError, match=r"dataset\.json"):
        load_unchanged(Workspace(workspace), DATASET, old)
    description.write_text(before)
    named({"x_left": 1, "x_right": 2}, description)
    with pytest.raises(StaleArtifactError):
        load_unchanged(Workspace(workspace), DATASET, old)


def test_planning_again_says_that_the_sides_are_new(workspace: Path, run_command: Command) -> None:
    planned_without_sides(workspace, run_command)
    code, _, err = run_command("plan", "--root", workspace, "--device", "cpu", "--no-preprocess")
    assert code == 1 and "(sides of left_x, right_x)" in err and "--overwrite" in err
    assert (
        run_command("plan", "--root", workspace, "--device", "cpu", "--no-preprocess", "--overwrite", "--set", *TINY)[0]
        == 0
    )
    written = json.loads(plan_path(workspace).read_text())
    assert written["side_classes"]["twins"] == [{"name": "x", "left": 1, "right": 2}]


def test_names_that_look_like_sides_are_said_at_planning(workspace: Path, run_command: Command) -> None:
    named({"ctx-lh-x": 1, "ctx-rh-x": 2}, workspace / "raw_data" / DATASET / "dataset.json")
    code, _, err = run_command("plan", "--root", workspace, "--device", "cpu", "--no-preprocess")
    assert code == 0 and "labels ctx-lh-x, ctx-rh-x: these look like one of a side, but are not taken for one" in err
