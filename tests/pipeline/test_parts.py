"""A study in parts: whatever the order, and whoever is killed, the merged tables are those of one run."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from hippopt.errors import UsageError
from hippopt.inference import kept_masks
from hippopt.jobs.array_tasks import part_number
from tests.synthetic import Command, blob_case, failures, read_mask, run_predict, save_nifti, volumes, write_scans
from tests.trained import contents, running

TABLES = ("volumes.tsv", "failures.tsv")

# dies when the first mask has its final name, before the journal knows it
DIES = """
import os, signal
import hippopt.artifacts.codec as codec
rename = os.replace
def replace(source, target):
    rename(source, target)
    if str(target).endswith(".nii.gz"):
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace
"""


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five scans and a broken one."""
    folder = write_scans(tmp_path_factory.mktemp("scans"), *(f"s{number}.nii.gz" for number in range(5)))
    (folder / "broken.nii.gz").write_text("text")
    return folder


@pytest.fixture(scope="module")
def whole(trained_root: Path, scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one undisturbed run of two folds makes of them."""
    from hippopt.cli import predict

    out = tmp_path_factory.mktemp("whole")
    assert (
        predict.main([str(a) for a in ("-i", scans, "-o", out, "--root", trained_root, "-f", 0, 1, "--device", "cpu")])
        == 1
    )
    return out


def call(run_command: Command, root: Path, scans: Path, out: Path, *more: object) -> tuple[int, str, str]:
    return run_command("predict", "-i", scans, "-o", out, "--root", root, "-f", 0, 1, "--device", "cpu", *more)


def assert_as_whole(out: Path, whole: Path) -> None:
    for name in TABLES:
        assert (out / name).read_text() == (whole / name).read_text()
    masks = {name: content for name, content in contents(whole).items() if name.endswith(".nii.gz")}
    assert {name: content for name, content in contents(out).items() if name.endswith(".nii.gz")} == masks


def test_parts_in_any_order_are_one_run(
    trained_root: Path, scans: Path, whole: Path, tmp_path: Path, run_command: Command
) -> None:
    out = tmp_path / "out"
    arguments = (run_command, trained_root, scans, out, "--parts", 3)
    code, said, _ = call(*arguments, "--part", 2)
    assert code == 0 and "part 2 of 3: 2 scans" in said
    assert not any((out / name).exists() for name in TABLES)  # tables have one writer: who merges
    code, said, err = call(*arguments, "--merge")
    assert code == 1 and "2 masks" in said and "4 missing" in said
    assert (
        "part 1 of 3: 2 of 2 scans are missing (broken, s2)" in err
        and "part 3 of 3: 2 of 2 scans are missing (s1, s4)" in err
    )
    assert json.loads(call(*arguments, "--merge", "--json")[1])["missing_parts"] == [1, 3]
    assert "--array=1,3" in err and sorted(set(volumes(out).scan)) == ["s0", "s3"]
    code, _, err = call(*arguments, "--part", 1)
    assert code == 1 and "broken: skipped" in err
    assert call(*arguments, "--part", 3)[0] == 0
    before = (out / "s1.nii.gz").stat().st_mtime_ns
    code, said, _ = call(*arguments, "--part", 3)
    assert code == 0 and "kept 2" in said and (out / "s1.nii.gz").stat().st_mtime_ns == before
    code, said, _ = call(run_command, trained_root, scans, out, "--merge")
    assert code == 0 and "merged 5 masks, 1 failed, 0 missing" in said
    assert_as_whole(out, whole)
    first = volumes(whole).flag.str.startswith("correct first")
    assert volumes(whole)[first].scan.nunique() == 1  # of five
    made = json.loads((out / "prediction.json").read_text())
    assert made["parts"] == 3 and made["scans"] == 6 and len(made["scans_sha256"]) == 64
    # a run without parts takes what the parts have found, and leaves the tables as they are
    assert call(run_command, trained_root, scans, out)[0] == 1
    assert_as_whole(out, whole)
    assert json.loads((out / "prediction.json").read_text()) == made


def test_a_run_without_parts_can_be_merged_too(
    trained_root: Path, scans: Path, whole: Path, tmp_path: Path, run_command: Command
) -> None:
    out = shutil.copytree(whole, tmp_path / "out")
    (out / "volumes.tsv").unlink()
    code, said, _ = call(run_command, trained_root, scans, out, "--merge")
    assert code == 0 and "merged 5 masks, 1 failed, 0 missing" in said
    assert volumes(out).voxels.tolist() == volumes(whole).voxels.tolist()
    (out / "s3.nii.gz").unlink()
    code, said, err = call(run_command, trained_root, scans, out, "--merge", "--json")
    assert code == 1 and "s3" in err and "missing" in err
    told = json.loads(said)
    assert told["missing"] == ["s3"] and told["merged"] == 4 and told["missing_parts"] == [] and told["run"] == "full"


def test_a_part_made_anew_is_not_mixed_with_masks_of_other_networks(
    trained_root: Path, scans: Path, tmp_path: Path, run_command: Command
) -> None:
    out = tmp_path / "out"
    options = ("predict", "-i", scans, "-o", out, "--root", trained_root, "--device", "cpu")
    assert run_command(*options, "-f", 0, "--parts", 2, "--part", 2)[0] == 0
    before = contents(out)
    code, _, err = run_command(*options, "-f", 1, "--parts", 2, "--part", 1, "--overwrite")
    assert (
        code == 1
        and "3 masks of other scans (s0.nii.gz, s2.nii.gz, s4.nii.gz) were made otherwise (folds ['0'] -> ['1']" in err
    )
    assert contents(out) == before
    alone = write_scans(tmp_path / "alone", "s1.nii.gz")
    code, _, err = run_command("predict", "-i", alone, *options[3:], "-f", 1, "--overwrite")
    assert code == 1 and "would mix them" in err
    assert run_command(*options, "-f", 0, "--parts", 2, "--part", 2, "--overwrite")[0] == 0  # as before
    assert run_command(*options, "-f", 1, "--overwrite")[0] == 1  # all of them; the broken one fails
    assert json.loads((out / "prediction.json").read_text())["folds"] == ["1"]


def test_making_anew_that_is_stopped_leaves_no_mask_of_the_former_networks(
    trained_root: Path, scans: Path, tmp_path: Path, run_command: Command
) -> None:
    """The same command without --overwrite goes on, and must not take them for its own."""
    out, whole = tmp_path / "out", tmp_path / "whole"
    options = [str(a) for a in ("-i", scans, "--root", trained_root, "--device", "cpu")]
    run_command("predict", *options, "-o", out, "-f", 0)
    run_command("predict", *options, "-o", whole, "-f", 1)
    with running(
        tmp_path / "process", "predict", [*options, "-o", str(out), "-f", "1", "--overwrite"], DIES
    ) as process:
        assert process.outcome()[0] == -signal.SIGKILL
    assert [path.name for path in out.glob("s*.nii.gz")] == ["s0.nii.gz"]
    run_command("predict", *options, "-o", out, "-f", 1)
    assert_as_whole(out, whole)


def test_a_part_that_was_killed_loses_nothing_of_finished_masks(
    trained_root: Path, scans: Path, whole: Path, tmp_path: Path, run_command: Command
) -> None:
    out = tmp_path / "out"
    options = ("-i", scans, "-o", out, "--root", trained_root, "-f", 0, 1, "--device", "cpu", "--parts", 2)
    with running(tmp_path / "process", "predict", [str(a) for a in (*options, "--part", 2)], DIES) as process:
        assert process.outcome()[0] == -signal.SIGKILL
    assert [path.name for path in sorted(out.glob("s*.nii.gz"))] == ["s0.nii.gz"]
    for part in (1, 2):
        call(run_command, trained_root, scans, out, "--parts", 2, "--part", part)
    assert run_command("predict", *options, "--merge")[0] == 0
    assert_as_whole(out, whole)  # the agreement of the folds too, which no mask tells
    assert (volumes(out).fold_agreement != "").any()


def test_finished_masks_are_not_opened_again(
    trained_root: Path, scans: Path, whole: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shutil.copytree(whole, tmp_path / "out")
    opened: list[str] = []
    original = kept_masks.read_scan
    monkeypatch.setattr(kept_masks, "read_scan", lambda path, *more: opened.append(path.name) or original(path, *more))
    time.sleep(0.05)  # a table is newer than a mask by the clock of the file system, which has coarse ticks
    os.utime(out / "volumes.tsv")
    call(run_command, trained_root, scans, out)
    assert opened == []
    _, said, _ = call(run_command, trained_root, scans, out, "--verify")
    assert "kept 5" in said and len(opened) == 10
    opened.clear()
    mask = read_mask(out / "s1.nii.gz") * 0
    mask[2:5, 3:6, 4] = 1  # a person's correction
    save_nifti(out / "s1.nii.gz", mask)
    other = write_scans(tmp_path / "other", "t.nii.gz")
    assert call(run_command, trained_root, other, out)[0] == 0  # the table is written, but s1 was not looked at
    assert opened == []
    call(run_command, trained_root, scans, out)
    assert "s1.nii.gz" in opened and volumes(out).set_index(["scan", "label"]).voxels["s1", "front"] == 9
    assert set(volumes(out).scan) == {"s0", "s1", "s2", "s3", "s4", "t"}


def test_a_mask_that_is_changed_while_others_are_segmented_is_measured_as_it_stands(
    trained_root: Path, scans: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hippopt.stages import predict as stage

    out, original = tmp_path / "out", stage._segment

    def segment(loaded, batch, signals):  # type: ignore[no-untyped-def]
        original(loaded, batch, signals)
        if loaded.files.id == "s1":
            save_nifti(out / "s0.nii.gz", read_mask(out / "s0.nii.gz") * 0)

    monkeypatch.setattr(stage, "_segment", segment)
    call(run_command, trained_root, scans, out)
    table = volumes(out)
    assert table[table.scan == "s0"].voxels.tolist() == [0, 0] and (table[table.scan == "s1"].voxels > 0).any()


def test_failures_of_earlier_calls_stay(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    first, second, out = (
        write_scans(tmp_path / "p1", "a.nii.gz"),
        write_scans(tmp_path / "p2", "b.nii.gz"),
        tmp_path / "out",
    )
    (first / "broken.nii.gz").write_text("text")
    assert run_predict(run_command, trained_root, first, out)[0] == 1
    assert run_predict(run_command, trained_root, second, out)[0] == 0
    assert list(failures(out)) == ["broken"] and set(volumes(out).scan) == {"a", "b"}
    save_nifti(first / "broken.nii.gz", blob_case(7)[0])
    assert run_predict(run_command, trained_root, first, out)[0] == 0
    assert failures(out) == {}
    (first / "junk.nii.gz").write_text("text")
    assert run_predict(run_command, trained_root, first, out)[0] == 1 and list(failures(out)) == ["junk"]
    (first / "junk.nii.gz").unlink()  # taken away: nothing failed any more
    assert run_predict(run_command, trained_root, first, out)[0] == 0 and failures(out) == {}


def test_the_list_is_the_same_for_all_parts(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans, out = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz", "c.nii.gz"), tmp_path / "out"
    arguments = (run_command, trained_root, scans, out)
    assert call(*arguments, "--parts", 2, "--part", 1)[0] == 0
    save_nifti(scans / "aa.nii.gz", blob_case(9)[0])  # would move all that follow into another part
    (scans / "b.nii.gz").rename(tmp_path / "b.nii.gz")
    code, said, err = call(*arguments, "--parts", 2, "--part", 2)
    assert (
        code == 1
        and "part 2 of 2: 1 scan" in said
        and "1 scan (aa) came after scans.tsv" in err
        and "b.nii.gz: was there when" in err
    )
    code, _, err = call(*arguments, "--merge")
    assert code == 1 and "1 scan missing (aa): in no part" in err and list(failures(out)) == ["b"]
    code, _, err = call(*arguments, "--parts", 3, "--part", 1)
    assert code == 1 and "dealt out in 2 parts; give --parts 2" in err
    code, _, err = call(
        run_command, trained_root, write_scans(tmp_path / "other", "z.nii.gz"), out, "--parts", 2, "--part", 1
    )
    assert code == 1 and f"{out / 'scans.tsv'}: a list of other scans" in err
    (out / "scans.tsv").write_text("scan\tfile\na\ta.nii.gz\n")
    code, _, err = call(*arguments, "--parts", 2, "--part", 1)
    assert code == 1 and "not the list that the other parts have" in err


@pytest.mark.parametrize(
    ("environment", "part"),
    [
        ({"SLURM_ARRAY_TASK_ID": "3"}, 3),
        ({"SGE_TASK_ID": "undefined", "PBS_ARRAY_INDEX": "2"}, 2),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "0"}, 1),
    ],
)
def test_a_part_is_the_task_of_an_array_job(environment: dict[str, str], part: int) -> None:
    assert part_number(4, None, environment) == part
    assert part_number(4, 1, environment) == 1


@pytest.mark.parametrize(
    ("parts", "part", "environment", "words"),
    [
        (4, 5, {}, "--part 5: parts are numbered from 1 to 4"),
        (4, None, {"SLURM_ARRAY_TASK_ID": "0"}, "SLURM_ARRAY_TASK_ID=0"),
        (4, None, {}, "give --part"),
        (0, 1, {}, "--parts 0"),
    ],
)
def test_a_part_that_is_none_is_refused(parts: int, part: int | None, environment: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        part_number(parts, part, environment)
