"""The demo, cut short: every step of it runs, and says what it found."""

from pathlib import Path

import pandas as pd
import pytest

from hippopt.recipes import demo
from tests.synthetic import Command


def test_the_demo_runs_through(tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SUBJECTS", 5)
    monkeypatch.setattr(demo, "HELD_OUT", 2)
    code, out, err = run_command("demo", "--root", tmp_path, "--minutes", 0.3)
    assert code == 0, err
    for command in ("hippopt_import", "hippopt_plan", "hippopt_train", "hippopt_predict", "hippopt_evaluate"):
        assert f"$ {command}" in out
    assert "best intensity threshold" in out and "held-out Dice of the five folds together" in out
    assert (tmp_path / "predictions.png").stat().st_size > 10_000
    assert set(pd.read_csv(tmp_path / "predictions" / "volumes.tsv", sep="\t").scan) == {"demo_05a", "demo_06a"}


def test_its_scans_are_of_several_grids_and_no_subject_is_in_both_parts(tmp_path: Path) -> None:
    import nibabel

    from hippopt.console import SilentConsole

    demo.make_scans(tmp_path / "labelled", tmp_path / "new", tmp_path / "truth", 0, SilentConsole())
    images = [nibabel.load(path) for path in sorted((tmp_path / "labelled" / "images").iterdir())]
    assert len({nibabel.aff2axcodes(image.affine) for image in images}) > 2
    assert len({tuple(sorted(image.header.get_zooms())) for image in images}) > 2
    table = pd.read_csv(tmp_path / "labelled" / "subjects.tsv", sep="\t")
    assert len(table) == len(images) == 2 * table.subject.nunique()
    assert not {path.name for path in (tmp_path / "new").iterdir()} & {
        path.name for path in (tmp_path / "labelled" / "images").iterdir()
    }
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        path.name for path in (tmp_path / "truth").iterdir()
    }
