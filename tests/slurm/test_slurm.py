"""The scripts of --slurm in a real SLURM of one node: submitted by the lines that the command says."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hippopt.training.slurm_job import job_has_ended
from tests.slurm.cluster import NoCluster, cluster
from tests.synthetic import TINY, Command, failures, volumes, write_dataset, write_scans
from tests.trained import contents, fold_path, run_path

pytestmark = pytest.mark.slurm
PATIENCE_S = 600.0  # a machine that does other work too


@pytest.fixture(scope="module")
def slurm() -> Iterator[dict[str, str]]:
    """The environment in which sbatch finds a cluster; the tests are skipped where none can run."""
    context = cluster()
    try:
        environment = context.__enter__()
    except NoCluster as error:
        pytest.skip(f"no SLURM: {error}")
    try:
        yield environment
    finally:
        context.__exit__(None, None, None)


def ask(slurm: dict[str, str], *command: str) -> str:
    return subprocess.run(command, env=slurm, capture_output=True, text=True, check=True).stdout


def submit(slurm: dict[str, str], said: str) -> str:
    """Run the two lines that the command has said; returns the number of the array job."""
    lines = [line.strip() for line in said.splitlines() if line.startswith("  ") and "sbatch" in line]
    assert len(lines) == 2
    ask(slurm, "bash", "-ec", "\n".join([*lines, "echo array $job"]))
    return ask(slurm, "squeue", "--noheader", "--format=%F", "--sort=i").split()[0]


def wait_until_all_ended(slurm: dict[str, str]) -> None:
    until = time.monotonic() + PATIENCE_S
    while ask(slurm, "squeue", "--noheader"):
        assert time.monotonic() < until
        time.sleep(0.5)


def test_a_study_in_parts_of_which_one_is_queued_again(
    slurm: dict[str, str],
    trained_root: Path,
    tmp_path: Path,
    run_command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)
    scans, out, script = (
        write_scans(tmp_path / "scans", *(f"s{number}.nii.gz" for number in range(5))),
        tmp_path / "out",
        tmp_path / "study.sh",
    )
    (scans / "broken.nii.gz").write_text("text")
    options = ("predict", "-i", scans, "--root", trained_root, "-f", 0, 1, "--device", "cpu")
    code, said, _ = run_command(*options, "-o", out, "--slurm", script, "--parts", 3)
    assert code == 0 and not out.exists()
    job = submit(slurm, said)
    until = time.monotonic() + PATIENCE_S
    while f"{job}_2 RUNNING" not in ask(slurm, "squeue", "-r", "--noheader", "--format=%F_%K %T"):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert not job_has_ended(f"{job}_2")  # as the lock of a fold asks
    ask(slurm, "scontrol", "requeue", f"{job}_2")
    while f"{job}_2 PENDING" not in ask(slurm, "squeue", "-r", "--noheader", "--format=%F_%K %T"):
        assert time.monotonic() < until
        time.sleep(0.1)
    time.sleep(
        3
    )  # SLURM would let it wait for two minutes; within the same second the node takes it for the job that it ended
    ask(slurm, "scontrol", "update", f"JobId={job}_2", "StartTime=now")
    wait_until_all_ended(slurm)
    assert job_has_ended(f"{job}_2") and job_has_ended("999999")
    logs = {path.name: path.read_text() for path in (tmp_path / "study_logs").iterdir()}
    assert "part 1 of 3: 2 scans" in logs[f"{job}_1.log"] and "broken: skipped" in logs[f"{job}_1.log"]
    assert "REQUEUE" in logs[f"{job}_2.log"] and "part 2 of 3" in logs[f"{job}_2.log"].partition("REQUEUE")[2]
    (merged,) = [text for name, text in logs.items() if name.startswith("merge-")]
    assert "merged 5 masks, 1 failed, 0 missing" in merged
    assert run_command(*options, "-o", tmp_path / "whole")[0] == 1
    for name in ("volumes.tsv", "failures.tsv"):
        assert (out / name).read_text() == (tmp_path / "whole" / name).read_text()
    masks = {name: text for name, text in contents(out).items() if name.endswith(".nii.gz")}
    assert len(masks) == 5 and masks.items() <= contents(tmp_path / "whole").items()
    assert list(failures(out)) == ["broken"] and volumes(out).scan.nunique() == 5


def test_folds_are_trained_in_an_array_and_calibrated(
    slurm: dict[str, str], tmp_path: Path, run_command: Command
) -> None:
    write_dataset(tmp_path, cases=10, per_subject=5)  # of two subjects: two folds
    assert run_command("plan", "--root", tmp_path, "--device", "cpu", "--set", *TINY)[0] == 0
    code, said, _ = run_command(
        "train",
        "Blob",
        "all",
        "--root",
        tmp_path,
        "--method",
        "full",
        "--base",
        "none",
        "--steps",
        3,
        "--device",
        "cpu",
        "--slurm",
        tmp_path / "folds.sh",
    )
    assert code == 0 and re.search(r"--array=0-1%2\n", (tmp_path / "folds.sh").read_text())
    submit(slurm, said)
    wait_until_all_ended(slurm)
    logs = {path.name: path.read_text() for path in (tmp_path / "folds_logs").iterdir()}
    assert len(logs) == 3, logs
    assert all((fold_path(tmp_path, fold) / "summary.json").exists() for fold in (0, 1)), logs
    assert (run_path(tmp_path) / "calibration.json").exists() and (run_path(tmp_path) / "out_of_fold.csv").exists(), (
        logs
    )
