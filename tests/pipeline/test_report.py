"""hippopt_report, hippopt_predict --report and --json, hippopt_evaluate --json: as they are called."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.synthetic import Command, write_scans
from tests.trained import DATASET, copied, fold_path, run_path


@pytest.fixture(scope="module")
def masks(trained_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any], str]:
    """(scans, masks, what --json said, what people read) of hippopt_predict --report --json."""
    import contextlib
    import io

    from hippopt.cli import predict

    folder = tmp_path_factory.mktemp("report")
    scans = write_scans(folder / "scans", "one", "two & <b>", "three")
    (folder / "scans" / "broken.nii.gz").write_bytes(b"no image")
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = predict.main(
            [
                str(word)
                for word in (
                    "-i",
                    scans,
                    "-o",
                    folder / "masks",
                    "--root",
                    trained_root,
                    "--device",
                    "cpu",
                    "--report",
                    "--json",
                )
            ]
        )
    assert code == 1  # one scan is broken
    return scans, folder / "masks", json.loads(out.getvalue()), err.getvalue()


def test_json_is_all_that_stands_on_standard_output(masks: tuple[Path, Path, dict[str, Any], str]) -> None:
    _, folder, said, lines = masks
    assert (said["command"], said["exit_code"], said["segmented"], said["kept"], said["failed"]) == (
        "hippopt_predict",
        1,
        3,
        0,
        1,
    )
    assert [failure["scan"] for failure in said["failures"]] == ["broken"] and said["error"] is None
    assert [scan["scan"] for scan in said["scans"]] == ["one", "three", "two & <b>"]
    assert set(said["scans"][0]["volumes_mm3"]) == {"front", "back"} and said["report"] == str(folder / "report.html")
    assert "segmented 3, kept 0, failed 1" in lines


def test_the_page_shows_all_scans_and_the_one_that_failed(masks: tuple[Path, Path, dict[str, Any], str]) -> None:
    text = (masks[1] / "report.html").read_text()
    assert (
        text.count("<article") == 3 and "two &amp; &lt;b&gt;" in text and "1 not segmented" in text and "broken" in text
    )
    assert text.count('class="outline mask') > 3 * 8 / 2


def test_the_line_counts_what_the_page_counts(
    masks: tuple[Path, Path, dict[str, Any], str], tmp_path: Path, run_command: Command
) -> None:
    scans, folder, _, _ = masks
    own = shutil.copytree(folder, tmp_path / "masks")
    table = pd.read_csv(own / "volumes.tsv", sep="\t", keep_default_na=False)
    table["flag"] = np.where(table["scan"] == "three", "correct first", "")
    table.to_csv(own / "volumes.tsv", sep="\t", index=False)
    code, out, _ = run_command("report", "-i", scans, "-p", own)
    counts = "3 scans, 0 flagged, 1 to correct first"
    assert code == 0 and counts in out and counts in (own / "report.html").read_text()


def test_report_of_masks_beside_which_no_table_lies(
    masks: tuple[Path, Path, dict[str, Any], str], tmp_path: Path, run_command: Command
) -> None:
    scans, folder, _, _ = masks
    for path in folder.glob("*.nii*"):
        shutil.copy(path, tmp_path)
    code, out, err = run_command("report", "-i", scans, "-p", tmp_path, "--jobs", 1)
    assert code == 0 and "volumes are measured here" in err and "3 scans" in out
    text = (tmp_path / "report.html").read_text()
    assert "label_1" in text and "label_2" in text


def test_a_scan_without_mask_in_its_grid_is_told_and_the_rest_are_shown(
    masks: tuple[Path, Path, dict[str, Any], str], tmp_path: Path, run_command: Command
) -> None:
    scans, folder, _, _ = masks
    own = shutil.copytree(folder, tmp_path / "masks")
    next(own.glob("one.nii*")).write_bytes(b"nothing")
    code, _, err = run_command("report", "-i", scans, "-p", own, "-o", tmp_path / "page.html")
    assert code == 1 and "one: no pictures" in err and "Traceback" not in err
    assert (tmp_path / "page.html").read_text().count("<article") == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-p", "{masks}"], "both -i"),
        (["-i", "{scans}", "-p", "{scans}/none"], "no such folder"),
        (["-i", "{empty}", "-p", "{masks}"], "no image files"),
        (["-i", "{scans}", "-p", "{masks}", "--jobs", "0"], "--jobs 0"),
        (["Blob", "-i", "{scans}", "-p", "{masks}"], "either DATASET"),
        (["Nothing", "--root", "{empty}"], "not found"),
    ],
)
def test_calls_that_do_not_fit(
    masks: tuple[Path, Path, dict[str, Any], str],
    tmp_path: Path,
    arguments: list[str],
    words: str,
    run_command: Command,
) -> None:
    places = {"scans": masks[0], "masks": masks[1], "empty": tmp_path}
    code, _, err = run_command("report", *(word.format(**places) for word in arguments))
    assert code in (1, 2) and words in err and "Traceback" not in err


def test_the_page_of_a_training(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(trained_root, tmp_path)
    shutil.copytree(run_path(root), run_path(root, "full-other"))
    code, out, err = run_command("report", "Blob", "--run", "full", "--root", root)
    assert code == 0, err
    page = run_path(root) / "report.html"
    text = page.read_text()
    assert str(page) in out and "mean foreground Dice" in out
    for words in (
        "full-other",
        "from random weights",
        "ICC(2,1)",
        "outline reference",
        "hippopt_train Blob 0 --method full --base none",
        "Hatamizadeh",
    ):
        assert words in text, words
    assert "+0.0000" in text  # the other run is a copy of this one


def test_the_page_of_a_training_whose_scans_are_gone(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(trained_root, tmp_path)
    shutil.rmtree(root / "raw_data" / DATASET)
    code, _, err = run_command("report", "Blob", "--root", root)
    assert code == 0 and "not in raw_data any more" in err
    assert "no pictures" in (run_path(root) / "report.html").read_text()
    (fold_path(root) / "log.csv").write_text("step\n")
    code, _, err = run_command("report", "Blob", "--root", root)
    assert code == 1 and "log.csv" in err and "train_loss" in err


def test_evaluate_for_programs(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    labels = trained_root / "raw_data" / DATASET / "labelsTr"
    masks = shutil.copytree(labels, tmp_path / "masks")
    code, out, err = run_command("evaluate", "-p", masks, "-l", labels, "--json")
    said = json.loads(out)
    assert (
        code == said["exit_code"] == 0
        and said["labels"] == ["front", "back", "mean foreground"]
        and "Dice 1.0000" in err
    )
    assert {row["mean"] for row in said["rows"] if row["metric"] == "dice"} == {1.0}
    code, out, err = run_command("evaluate", "-p", masks, "-l", tmp_path / "none", "--json")
    said = json.loads(out)
    assert code == said["exit_code"] == 1 and said["error"] and said["error"] in err


def test_two_masks_of_one_scan_are_refused(
    masks: tuple[Path, Path, dict[str, Any], str], tmp_path: Path, run_command: Command
) -> None:
    own = shutil.copytree(masks[1], tmp_path / "masks")
    first = next(own.glob("one.nii*"))
    shutil.copy(first, own / "one.nrrd")
    code, _, err = run_command("report", "-i", masks[0], "-p", own)
    assert code == 1 and "ambiguous" in err and "one.nrrd" in err
