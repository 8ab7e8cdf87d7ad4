"""A plan edited by hand, or by --set, is held against its rules, and the rule that it breaks is named."""

from pathlib import Path
from typing import Any

import pytest

from tests.synthetic import Command
from tests.trained import assert_stopped, contents, copied, edit_json, plan_path, train_arguments

EDITS: list[tuple[str, Any, str]] = [
    ("patch_size", [16, 30, 16], "multiples of 16"),
    ("patch_size", [0, 16, 16], "multiples of 16"),
    ("batch_size", 0, "at least 1"),
    ("batch_size", 1.5, "batch_size"),
    ("target_spacing_mm", [1, 1, float("nan")], "above 0"),
    ("network.num_heads", 5, "multiple of num_heads"),
    ("adapter.rank", 0, "from 1 to 48"),
    ("adapter.stacks", ["attention", "values"], "adapter.stacks"),
    ("schedule.steps", 0, "at least 1"),
    ("schedule.learning_rate", {"full": 1e-3}, "lora-pt, decoder, full"),
    ("schedule.learning_rate", {"full": float("inf"), "decoder": 1, "lora-pt": 1}, "lora-pt, decoder, full"),
    ("schedule.poly_exponent", -1, "not below 0"),
    ("seed", -1, "not below 0"),
    ("augmentation.p_noise", 1.5, "from 0 to 1"),
    ("augmentation.scaling", [1.4, 0.7], "low <= high"),
    ("augmentation.swap_labels", [[1, 9]], "label values"),
    ("augmentation.flip_axes", ["y"], "no flip along an axis along which the labels are ordered"),
    ("labels", {"background": 0, "front": 2, "back": 1}, "dataset.json"),
    ("labels", {"background": 0, "front": 1, "back": 1}, "one value a label"),
    ("normalisation.clip_percentiles", [99, 1], "low < high"),
    ("colour", "blue", "colour"),
    ("network.depth", 3, "depth"),
    ("schema", 2, "schema 2"),
]


def put(data: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        data = data[parent]
    data[last] = value


@pytest.fixture(scope="module")
def root(trained_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(trained_root, tmp_path_factory.mktemp("edited"))


@pytest.mark.parametrize(("key", "value", "rule"), EDITS)
def test_row_51_training_with_a_broken_plan_stops_with_the_rule(
    root: Path, run_command: Command, key: str, value: Any, rule: str
) -> None:
    sound = plan_path(root).read_text()
    try:
        edit_json(plan_path(root), lambda data: put(data, key, value))
        before = contents(root)
        assert_stopped(run_command("train", *train_arguments(root, fold=2)), plan_path(root), rule)
        assert contents(root) == before
    finally:
        plan_path(root).write_text(sound)


def test_row_51_all_broken_rules_are_reported_together(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path)
    edit_json(plan_path(root), lambda data: data.update(batch_size=0, patch_size=[8, 8, 8]))
    assert_stopped(run_command("train", *train_arguments(root, fold=2)), "batch_size", "patch_size")


def test_row_51_planning_keeps_a_broken_plan_as_it_is_and_stops(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path)
    edit_json(plan_path(root), lambda data: data.update(batch_size=0))
    before = contents(root)
    assert_stopped(run_command("plan", "--root", root, "--device", "cpu"), plan_path(root), "batch_size")
    assert contents(root) == before


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ("batch_size=0", "at least 1"),
        ("batchsize=2", "near matches: batch_size"),
        ("patch_size=16,20,16", "multiples of 16"),
        ("network.size=huge", "tiny"),
        ("seed", "key=value"),
        ("schedule.steps=many", "steps"),
        ("folds.0=1", "no keys of its own"),
        ("fingerprint_hash=0", "fingerprint_hash of the plan cannot be set"),
    ],
)
def test_row_51_a_bad_setting_stops_and_leaves_the_plan(
    root: Path, run_command: Command, setting: str, word: str
) -> None:
    before = contents(root)
    assert_stopped(
        run_command("plan", "--root", root, "--device", "cpu", "--set", setting), setting.partition("=")[0], word
    )
    assert contents(root) == before


def test_row_51_planning_anew_says_which_edits_are_gone(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    edit_json(plan_path(root), lambda data: data["schedule"].update(weight_decay=0.25))
    code, _, err = run_command(
        "plan", "--root", root, "--device", "cpu", "--overwrite", "--no-preprocess", "--set", "network.size=tiny"
    )
    assert code == 0 and "schedule.weight_decay: 0.25 -> 0.01" in err
