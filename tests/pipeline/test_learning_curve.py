"""hippopt_compare on several data sets: labelled scans against
Dice, with the base itself; and rows without a transformer.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.pipeline.test_compare import Runner
from tests.synthetic import TINY, Command, read_mask, write_dataset
from tests.trained import assert_stopped, contents, copied

TEST, FEW = "Dataset008_Test", "Dataset009_Few"


pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Runner:
    found = Runner()
    monkeypatch.setattr("hippopt.comparison.compare.run_jobs", found)
    return found


def test_the_curve_joins_comparisons_and_the_base(
    trained_root: Path, tmp_path: Path, run_command: Command, runner: Runner
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    write_dataset(root, 4, TEST, first=100, per_subject=2)
    write_dataset(root, 2, FEW, first=200)
    assert run_command("plan", "Few", "--root", root, "--device", "cpu", "--set", *TINY)[0] == 0
    assert run_command("pretrain", "Few", "--root", root, "--name", "base", "--steps", 2, "--device", "cpu")[0] == 0
    base = root / "results" / "pretraining" / "base" / "base.safetensors"
    arguments = (
        "compare",
        "Blob",
        "Few",
        "--test",
        "Test",
        "--root",
        root,
        "--base",
        base,
        "--device",
        "cpu",
        "--steps",
        2,
        "--name",
        "curve",
        "--methods",
        "decoder",
        "no-transformer",
        "--seeds",
        0,
    )
    code, out, err = run_command(*arguments)
    assert code == 0, err
    trained = [line for line in runner.ran if line.startswith("train")]
    assert len(trained) == 4 and sum("--no-transformer" in line and "--base none" in line for line in trained) == 2
    bare = root / "results" / FEW / "full-no-transformer-curve-s0" / "plan.json"
    assert json.loads(bare.read_text())["network"]["transformer"] is False

    folder = root / "results" / TEST / "comparisons" / "curve"
    table = pd.read_csv(folder / "curve.csv")
    assert [(row.scans, row["row"]) for _, row in table.iterrows() if row.scans == 0] == [(0, "base, no labels")]
    assert sorted(set(table.scans)) == [0, 2, 6] and set(table[table.scans == 6]["row"]) == {
        "decoder",
        "no-transformer",
    }
    assert set(table.cases) == {4} and set(table.subjects) == {2}
    own = pd.read_csv(root / "results" / FEW / "comparisons" / "curve" / "comparison.csv").set_index("row")
    few = table[table.scans == 2].set_index("row")
    assert few.dice.to_dict() == pytest.approx(own.dice.to_dict())
    # the outline's Dice, by hand
    masks = root / "results" / FEW / "comparisons" / "curve" / "masks" / TEST / "decoder-curve-s0"
    by_hand = []
    for case in range(100, 104):
        mask, label = (
            read_mask(masks / f"case_{case}.nii.gz") > 0,
            read_mask(root / "raw_data" / TEST / "labelsTr" / f"case_{case}.nii.gz") > 0,
        )
        by_hand.append(2 * np.sum(mask & label) / (mask.sum() + label.sum()))
    assert few.outline["decoder"] == pytest.approx(np.mean(by_hand))
    assert len(list(folder.glob("masks/*/base-*/case_*.nii.gz"))) == 4 and (folder / "curve.png").is_file()
    assert "Dice of all labels as one" in (folder / "curve.md").read_text() and "labelled scans" in out

    # the same command again does nothing anew
    before, count = contents(root / "results"), len(runner.ran)
    assert run_command(*arguments)[0] == 0
    assert len(runner.ran) == count and contents(root / "results") == before

    # two more seeds are asked for, of which nothing is there: figures and notes say what they are made of
    code, _, _ = run_command(*arguments, 1, 2, "--finished")
    report = (folder / "curve.md").read_text()
    assert code == 1 and len(runner.ran) == count
    assert "each figure is of 3 seeds (0 1 2), but decoder with 2, 6 labelled (seed 0); no-transf" in report
    shutil.rmtree(folder / "masks")
    code, _, _ = run_command(*arguments, "--finished")
    assert code == 1 and "no row without labels yet: the base has not segmented" in (folder / "curve.md").read_text()


def test_what_cannot_be_joined_is_refused_first(
    trained_root: Path, tmp_path: Path, run_command: Command, runner: Runner
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    write_dataset(root, 4, TEST, first=100)
    write_dataset(root, 6, FEW, first=200)
    assert run_command("plan", "Few", "--root", root, "--device", "cpu", "--no-preprocess", "--set", *TINY)[0] == 0
    assert_stopped(
        run_command("compare", "Blob", "Few", "--folds", 0, "--root", root, "--methods", "scratch"), "--test"
    )
    assert_stopped(
        run_command("compare", "Blob", "Few", "--test", "Test", "--root", root, "--methods", "scratch"),
        "both have 6 labelled scans",
    )
    assert_stopped(
        run_command("compare", "Blob", "--test", "Test", "--root", root, "--methods", "no-such"), "no-transformer"
    )
    assert not runner.ran
