"""What a killed process had half written is removed by the next call into the folder; what others write is not."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hippopt.artifacts.codec import atomic_path, remove_leftovers_of_the_dead, write_atomically, write_bytes
from hippopt.artifacts.this_host import this_host
from tests.synthetic import Command, run_plan


def dead_process() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_row_110_only_files_of_dead_processes_of_this_host_go(tmp_path: Path) -> None:
    host = this_host()
    names = {
        "dead": f".tmp-{dead_process()}.{host}.0a1b2c3d.npy",
        "other host": f".tmp-{dead_process()}.not-{host}.0a1b2c3d.npy",
        "other program": ".tmp-of-another",
    }
    for name in names.values():
        (tmp_path / name).write_bytes(b"half")
    with atomic_path(tmp_path / "a.nii.gz") as mine:
        names["living"] = mine.name.replace(f"-{os.getpid()}.", f"-{os.getppid()}.")
        mine.write_bytes(b"whole")
    (tmp_path / names["living"]).write_bytes(b"half")
    remove_leftovers_of_the_dead(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["a.nii.gz", names["other host"], names["other program"], names["living"]]
    )


def test_row_110_writing_in_a_folder_removes_what_lies_there(tmp_path: Path) -> None:
    """Each writer tidies its folder, once: commands need not know which folders a killed one was writing in."""
    names = [f".tmp-{dead_process()}.{this_host()}.0a1b2c3{digit}.csv" for digit in "de"]
    (tmp_path / names[0]).write_bytes(b"half")
    write_bytes(tmp_path / "metrics.csv", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]
    (tmp_path / names[1]).write_bytes(b"half")
    with atomic_path(tmp_path / "metrics.csv") as outer, atomic_path(tmp_path / "summary.json") as inner:
        outer.write_bytes(b"new")
        inner.write_bytes(b"{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([names[1], "metrics.csv", "summary.json"])


def test_row_110_the_first_of_two_writers_keeps_its_file(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "scans.tsv", keep_first=True) as late:
        late.write_bytes(b"late")
        write_atomically(tmp_path / "scans.tsv", lambda path: path.write_bytes(b"early"), keep_first=True)
    assert [path.name for path in tmp_path.iterdir()] == ["scans.tsv"]
    assert (tmp_path / "scans.tsv").read_bytes() == b"early"


def test_row_110_planning_again_removes_half_arrays(workspace: Path, run_command: Command) -> None:
    """A prediction's are in row 17."""
    assert run_plan(run_command, workspace)[0] == 0
    (folder,) = (workspace / "preprocessed").iterdir()
    half = folder / f".tmp-{dead_process()}.{this_host()}.0a1b2c3d.npy"
    half.write_bytes(b"half")
    assert run_plan(run_command, workspace)[0] == 0 and not half.exists()


TIDY = """
import sys
from pathlib import Path
from hippopt.artifacts.codec import remove_leftovers_of_the_dead
from hippopt.artifacts.this_host import this_host
remove_leftovers_of_the_dead(Path(sys.argv[1]))
print(this_host())
"""


def test_row_110_a_container_of_the_same_name_leaves_others_files(tmp_path: Path) -> None:
    """Under Apptainer's --containall, tasks of one node share its name, and each counts its processes from 1."""
    command = ["unshare", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    allowed = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if allowed.returncode:
        pytest.skip(f"this machine gives no process ids of their own: {allowed.stderr.strip()}")
    with atomic_path(tmp_path / "a.npy") as mine:
        mine.write_bytes(b"half")
        done = subprocess.run(
            [*command, sys.executable, "-c", TIDY, tmp_path], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() != this_host() and done.stdout.startswith(socket.gethostname())
        assert mine.exists()


def test_row_110_a_host_is_told_from_its_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {}
    for where in ("pid:[4026531836]", "pid:[4026532999]"):  # the host itself, a container
        monkeypatch.setattr(Path, "readlink", lambda _, where=where: Path(where))
        this_host.cache_clear()
        names[where] = this_host()
    monkeypatch.undo()
    this_host.cache_clear()
    assert list(names.values()) == [socket.gethostname(), f"{socket.gethostname()}-4026532999"]
