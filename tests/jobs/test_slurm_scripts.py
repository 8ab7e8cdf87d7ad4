"""Scripts for SLURM: what stands in them, without a SLURM."""

import itertools
import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from hippopt.jobs import slurm_scripts
from hippopt.jobs.slurm_scripts import choose_parts, largest_array, part_minutes
from tests.synthetic import Command, write_scans


def test_parts_work_for_half_an_hour_within_what_slurm_allows() -> None:
    assert choose_parts(50_000, 10.0, 1000) == 278  # 500,000 s in parts of 1800 s
    assert choose_parts(50_000, 10.0, 100) == 100
    assert choose_parts(5, 10_000.0, 1000) == 5 and choose_parts(5, 1.0, 1000) == 1
    assert part_minutes(50_000, 278, 10.0) == 30 + 120


def test_the_size_of_an_array_is_what_the_cluster_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert largest_array() == 1000
    program = tmp_path / "scontrol"
    program.write_text("#!/bin/sh\necho 'MaxArraySize            = 201'\n")
    program.chmod(0o755)
    assert largest_array() == 200


def test_a_script_for_a_study(
    trained_root: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_scripts, "largest_array", lambda: 1000)
    scans = write_scans(tmp_path / "my scans", "a.nii.gz", "b.nii.gz", "c.nii.gz")
    file = tmp_path / "study.sh"
    options = ("-i", scans, "-o", tmp_path / "out", "--root", trained_root, "--device", "cpu", "--slurm", file)
    code, said, _ = run_command("predict", *options, "--seconds-per-scan", 900)
    assert code == 0 and "3 scans in 2 parts, 900 s per scan assumed" in said
    assert (
        f"  job=$(sbatch --parsable {file})\n  sbatch --dependency=afterany:$job {tmp_path / 'study_merge.sh'}\n"
        in said
    )
    text, merge = file.read_text(), (tmp_path / "study_merge.sh").read_text()
    for option in (
        "--array=1-2%2",
        "--requeue",
        "--signal=B:TERM@120",
        "--open-mode=append",
        "--time=02:30:00",
        "--cpus-per-task=2",
    ):
        assert f"\n#SBATCH {option}\n" in text
    assert "--array" not in merge and "--requeue" not in merge and merge.rstrip().endswith("--merge")
    before = [line for line in text.splitlines() if line.startswith("#SBATCH")]
    assert all(
        text.splitlines()[text.splitlines().index(line) - 1].startswith("# ") for line in before if "--mem" not in line
    )  # each is explained
    command = shlex.split(text.partition("\nexec ")[2])
    assert Path(command[0]).is_absolute() and str(scans) in command and ("--parts", "2") in itertools.pairwise(command)
    for script in (file, tmp_path / "study_merge.sh"):
        assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    code, _, err = run_command("predict", *options, "--overwrite")
    assert code == 2 and "--overwrite and --slurm exclude each other" in err
    code, _, err = run_command("predict", *options, "--parts", 5000)
    assert code == 2 and "up to 1000" in err
    assert run_command("predict", *options, "--seconds-per-scan", 800)[0] == 0  # nobody has edited it
    assert "--seconds-per-scan 800" in file.read_text()
    file.write_text(text.replace("#SBATCH --requeue", "#SBATCH --requeue\n#SBATCH --account=lab"))
    code, _, err = run_command("predict", *options, "--seconds-per-scan", 900)
    assert code == 1 and "not as hippopt wrote it" in err and "--account=lab" in file.read_text()
    (foreign := tmp_path / "mine.sh").write_text("echo mine\n")
    code, _, err = run_command("predict", *options[:-1], foreign)
    assert code == 1 and "not as hippopt wrote it" in err and foreign.read_text() == "echo mine\n"
    code, _, err = run_command("predict", *options[:-1], tmp_path / "a%j.sh")
    assert code == 2 and "%" in err


def test_a_page_is_made_by_the_merge(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans, file = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz"), tmp_path / "study.sh"
    options = ("-i", scans, "-o", tmp_path / "out", "--root", trained_root, "--device", "cpu", "--slurm", file)
    code, said, _ = run_command("predict", *options, "--parts", 2, "--report", "--json")
    assert code == 0 and json.loads(said)["tasks"] == "1-2" and json.loads(said)["script"] == str(file)
    assert (tmp_path / "study_merge.sh").read_text().rstrip().endswith("--merge \\\n  --report")
    header, _, task = file.read_text().partition("\nexec ")
    assert "--report" not in task and "hippopt_predict -d Dataset007_Blob --root" in header and "--report" in header


def test_a_study_that_was_dealt_out_keeps_its_parts(
    trained_root: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What all tasks of the array would refuse is refused before anything is written."""
    scans, out = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz"), tmp_path / "out"
    common = ("-i", scans, "-o", out, "--root", trained_root, "--device", "cpu")
    assert run_command("predict", *common, "-f", 0, "--parts", 2, "--part", 1)[0] == 0
    file = tmp_path / "study.sh"
    code, said, _ = run_command("predict", *common, "-f", 0, "--slurm", file)  # one part by the estimate
    assert code == 0 and "2 scans in 2 parts" in said and "#SBATCH --array=1-2%2" in file.read_text()
    write_scans(scans, "later.nii.gz")
    code, said, err = run_command("predict", *common, "-f", 0, "--slurm", file)
    assert code == 0 and "2 scans in 2 parts" in said and "1 scan (later) came after" in err
    file.unlink()
    code, _, err = run_command("predict", *common, "-f", 0, "--slurm", file, "--parts", 1)
    assert code == 1 and "dealt out in 2 parts" in err and not file.exists()
    code, _, err = run_command("predict", *common, "-f", 1, "--slurm", file)
    assert code == 1 and "its masks were made otherwise (folds ['0'] -> ['1']" in err and not file.exists()


def test_what_trains_after_the_folds_has_the_gpu_that_they_have(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    common = ("--root", trained_root, "--method", "full", "--base", "none", "--name", "gpu", "--device", "cuda")
    assert run_command("train", "Blob", "all", *common, "--slurm", tmp_path / "folds.sh")[0] == 0
    for name in ("folds.sh", "folds_calibrate.sh"):
        text = (tmp_path / name).read_text()
        assert "--device cuda" in text and "\n#SBATCH --gres=gpu:1\n" in text


def test_folds_of_a_run_with_another_plan_are_refused_before_a_task_is(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = shutil.copytree(trained_root, tmp_path / "root")
    assert run_command("plan", "Blob", "--root", root, "--device", "cpu", "--set", "schedule.steps=7")[0] == 0
    common = ("--root", root, "--method", "full", "--base", "none", "--slurm", tmp_path / "folds.sh")
    code, _, err = run_command("train", "Blob", "all", *common)
    assert code == 1 and "was trained with another plan" in err and not (tmp_path / "folds.sh").exists()


def test_a_script_for_folds_takes_all(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    common = (
        "--root",
        trained_root,
        "--method",
        "full",
        "--base",
        "none",
        "--minutes",
        10,
        "--slurm",
        tmp_path / "folds.sh",
    )
    code, _, err = run_command("train", "Blob", 0, *common)
    assert code == 2 and "give all" in err
    code, said, _ = run_command("train", "Blob", "all", *common)
    text = (tmp_path / "folds.sh").read_text()
    assert (
        code == 0 and "folds_calibrate.sh" in said and ' "$SLURM_ARRAY_TASK_ID"' in text and "--time=00:45:00" in text
    )
    assert " all \\\n" in (tmp_path / "folds_calibrate.sh").read_text() and "--resume" in text
