"""hippopt_train --continue-from: a run that goes on from another's own networks, fold by fold."""

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from hippopt.artifacts.codec import load_record
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.plan_rules import load_plan
from hippopt.artifacts.weights import AdapterCard
from tests.synthetic import TINY, Command, blob_case, read_mask, save_nifti, volumes, write_dataset
from tests.trained import (
    LORA,
    assert_same_tensors,
    assert_stopped,
    contents,
    copied,
    edit_json,
    fold_path,
    plan_path,
    run_path,
    signal_at,
    train_arguments,
)

NEW = "full-continued"
CASES = [f"case_{number:03d}" for number in range(6)]
TWO_FOLDS = [{"train": CASES[3 * k : 3 * k + 3], "val": CASES[3 - 3 * k : 6 - 3 * k]} for k in (0, 1)]


pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture(scope="module")
def grown_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run `full`, two folds and full-data, and two cases that were corrected since. Read-only by convention."""
    from hippopt.cli import correct, plan, train

    root = tmp_path_factory.mktemp("grown")
    write_dataset(root)
    settings = [*TINY, "schedule.steps_on_base=9", f"folds={json.dumps(TWO_FOLDS)}"]
    assert plan.main(["--root", str(root), "--device", "cpu", "--set", *settings]) == 0
    for fold in (0, 1, "full-data"):
        assert train.main(train_arguments(root, fold=fold)) == 0
    for number in (50, 51):
        image, label = blob_case(number)
        save_nifti(root / "scans" / f"later_{number}.nii.gz", image)
        save_nifti(root / "corrected" / f"later_{number}.nii.gz", label)
    folders = ["-i", str(root / "scans"), "-p", str(root / "corrected")]
    assert correct.main(["Blob", "--root", str(root), *folders]) == 0
    assert plan.main(["--root", str(root), "--device", "cpu"]) == 0
    return root


def go_on(root: Path, *more: object, fold: int | str = 0, run: str = "full", steps: int | None = 3) -> list[str]:
    """Arguments of hippopt_train --continue-from."""
    arguments = train_arguments(root, "--continue-from", run, *more, fold=fold, steps=steps)
    at = arguments.index("--method")
    return arguments[:at] + arguments[at + 2 :]


def card_of(root: Path, fold: int | str, run: str = NEW) -> AdapterCard:
    folder = run_path(root, run) / ("full_data" if fold == "full-data" else f"fold_{fold}")
    return load_record(folder / "adapter.json", AdapterCard, "hippopt_train")


def test_folds_go_on_side_by_side_and_never_see_what_validates_them(
    grown_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(grown_root, tmp_path)
    before = contents(run_path(root))
    code, out, err = run_command("train", *go_on(root, "--jobs", 2, fold="all", steps=None))
    assert code == 0 and "2 of 2 folds, 8 cases" in out and f"--run {NEW}" in out, err
    assert contents(run_path(root)) == before
    plan = load_plan(plan_path(root))
    fingerprint = load_record(plan_path(root).with_name("fingerprint.json"), Fingerprint, "hippopt_plan")
    hashes = {case.id: case.image_hash for case in fingerprint.cases}
    for number, fold in enumerate(plan.folds):
        card, earlier = card_of(root, number), card_of(root, number, "full")
        assert card.step == plan.schedule.steps_from(True)
        assert card.continued_from is not None and len(fold.train) == 4
        assert (card.continued_from.run, card.continued_from.sha256) == ("full", earlier.sha256)
        assert card.continued_from.seen_images == earlier.seen_images
        assert {hashes[case] for case in fold.train} == set(card.seen_images) > set(earlier.seen_images)
        assert not set(card.seen_images) & {hashes[case] for case in fold.val}

    assert run_command("train", *go_on(root, fold="full-data"))[0] == 0
    assert set(card_of(root, "full-data").seen_images) == set(hashes.values())
    model, other, seen = tmp_path / "model.zip", tmp_path / "other", root / "scans"
    assert run_command("export", "Blob", model, "--root", root, "--run", NEW)[0] == 0
    assert run_command("install", model, "--root", other)[0] == 0
    options = ("-f", "full-data", "--device", "cpu")
    assert run_command("predict", "-i", seen, "-o", tmp_path / "masks", "--root", other, *options)[0] == 0
    assert volumes(tmp_path / "masks").flag.str.contains("seen in training").all()


@pytest.mark.parametrize("run", ["full", LORA])
def test_with_nothing_to_learn_the_networks_stay_what_they_were(
    run: str, lora_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(lora_root, tmp_path)  # with the same cases: of others, the borders between parts are learned anew
    code, out, err = run_command("train", *go_on(root, "--learning-rate", 1e-30, "--allow-seen", run=run))
    assert code == 0 and f"goes on from run {run}" in out, err
    before, after = (load_file(fold_path(root, 0, name) / "adapter.safetensors") for name in (run, f"{run}-continued"))
    assert list(before) == list(after)
    assert max(float((before[name] - after[name]).abs().max()) for name in before) < 1e-12
    save_nifti(tmp_path / "in" / "new.nii.gz", blob_case(70)[0])
    masks = []
    for name in (run, f"{run}-continued"):
        chosen = ("--run", name, "-f", 0, "--device", "cpu", "--save-probabilities")
        assert run_command("predict", "-i", tmp_path / "in", "-o", tmp_path / name, "--root", root, *chosen)[0] == 0
        masks.append([read_mask(tmp_path / name / f"new{kind}.nii.gz") for kind in ("", "_probabilities")])
    assert np.array_equal(masks[0][0], masks[1][0]) and np.allclose(masks[0][1], masks[1][1], atol=1e-5)


def test_a_fold_whose_earlier_network_saw_its_validation_cases_is_refused(
    grown_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(grown_root, tmp_path)
    edit_json(plan_path(root), lambda plan: {**plan, "folds": plan["folds"][::-1]})  # as drawn anew
    outcome = run_command("train", *go_on(root))
    assert_stopped(outcome, "fold 0 of run full was trained on 3 validation cases", "--allow-seen", code=1)
    assert not run_path(root, NEW).exists()
    assert run_command("train", *go_on(root, "--allow-seen"))[0] == 0


def test_a_stopped_fold_is_resumed_bit_for_bit_and_only_from_where_it_came(
    grown_root: Path, tmp_path: Path, run_command: Command
) -> None:
    roots = [copied(grown_root, tmp_path / name) for name in ("whole", "stopped")]
    assert run_command("train", *go_on(roots[0], steps=9))[0] == 0
    with signal_at(7, signal.SIGTERM):
        assert run_command("train", *go_on(roots[1], steps=9))[0] == 143
    anew = train_arguments(roots[1], "--name", "continued", "--resume", steps=9)
    assert_stopped(run_command("train", *anew), "earlier_sha256", code=1)
    assert run_command("train", *go_on(roots[1], "--resume", steps=None))[0] == 0
    adapters = [fold_path(root, 0, NEW) / "adapter.safetensors" for root in roots]
    assert_same_tensors(*adapters)
    for options in (anew, train_arguments(roots[1], "--name", "continued", fold=1)):
        assert_stopped(run_command("train", *options), f"run {NEW}: its fold 0 goes on from run full", code=2)


def runs(root: Path) -> dict[str, str]:
    """What lies in results, but for bases that were adopted."""
    return {name: found for name, found in contents(root / "results").items() if not name.startswith("bases")}


def test_what_cannot_be_gone_on_from_is_refused_in_one_line(
    grown_root: Path, lora_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(grown_root, tmp_path)
    shutil.copytree(run_path(root), root / "results" / "Dataset009_Other" / "theirs")
    before = runs(root)

    def refused(*words: str, code: int, fold: int | str = 0, run: str = "full", more: tuple[object, ...] = ()) -> None:
        outcome = run_command("train", *go_on(root, *more, fold=fold, run=run))
        assert_stopped(outcome, *words, code=code)
        assert len([line for line in outcome[2].splitlines() if line.startswith("hippopt_train: ")]) == 1
        assert runs(root) == before

    refused("no finished run of this name (there are: full)", run="nothing", code=2)
    refused("a run of Dataset009_Other, and none of", run="theirs", code=2)
    refused("its fold full-data-2 is not finished", "train it first", fold="full-data-2", code=1)
    refused("--method lora-pt: not with --continue-from", more=("--method", "lora-pt"), code=2)
    refused("--rank 7: not with --continue-from", more=("--rank", 7), code=2)
    base = ("--base", fold_path(lora_root))
    refused("was trained from random weights; leave --base out", more=base, code=2)
    for key, value in (("patch_size", [16, 16, 16]), ("target_spacing_mm", [2, 1, 1])):
        kept = plan_path(root).read_text()
        edit_json(plan_path(root), lambda plan, key=key, value=value: {**plan, key: value})  # type: ignore[misc]
        refused("run full was trained with another plan", f"{key}", "restore", code=1)
        plan_path(root).write_text(kept)
    for card in run_path(root).glob("*/adapter.json"):
        edit_json(card, lambda found: {**found, "method": "adalora"})
    before = runs(root)
    refused("adalora settles its ranks over all its steps", "train anew", code=2)


def test_names_follow_from_the_earlier_run(grown_root: Path) -> None:
    from hippopt.recipes.continued_run import EarlierRun, continued_name

    plan = load_plan(plan_path(grown_root))

    def named(run: str) -> str:
        return continued_name(EarlierRun(run, "lora-pt", plan, None))

    assert [named(f"lora-pt-r4{more}") for more in ("", "-mine")] == ["continued", "mine-continued"]
    assert named("lora-pt-r4-continued") == "continued-2"
    assert named("lora-pt-r4-mine-continued-2") == "mine-continued-3"
