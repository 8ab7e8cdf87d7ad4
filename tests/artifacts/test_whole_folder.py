"""A folder that appears whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hippopt.artifacts.this_host import this_host
from hippopt.artifacts.whole_folder import whole_folder
from hippopt.errors import OutputError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def gone_pid() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_folder_appears_at_the_end(tmp_path: Path) -> None:
    final = tmp_path / "in" / "Data"
    with whole_folder(final) as folder:
        (folder / "a").write_text("1")
        assert not final.exists()
    assert names(final) == ["a"] and names(final.parent) == ["Data"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_one_alone(tmp_path: Path, error: type[BaseException]) -> None:
    final = tmp_path / "Data"
    final.mkdir()
    (final / "old").touch()
    with pytest.raises(error), whole_folder(final, overwrite=True) as folder:
        (folder / "new").touch()
        raise error
    assert names(tmp_path) == ["Data"] and names(final) == ["old"]


def test_overwriting_replaces_the_whole(tmp_path: Path) -> None:
    final = tmp_path / "Data"
    final.mkdir()
    (final / "old").touch()
    with whole_folder(final, overwrite=True) as folder:
        (folder / "new").touch()
        assert names(final) == ["old"]
    assert names(tmp_path) == ["Data"] and names(final) == ["new"]


def test_a_folder_made_meanwhile_is_kept(tmp_path: Path) -> None:
    final = tmp_path / "Data"
    with pytest.raises(OutputError, match="meanwhile"), whole_folder(final):
        final.mkdir()
        (final / "other").touch()
    assert names(tmp_path) == ["Data"] and names(final) == ["other"]


def test_leftovers_go_unless_their_process_lives_or_is_elsewhere(tmp_path: Path) -> None:
    here, gone, alive = this_host(), gone_pid(), os.getppid()
    kept = [f".building.{alive}.{here}.Data", f".building.{gone}.other-host.Data", ".building.Data"]
    for name in (
        f".building.{gone}.{here}.Data",
        f".replaced.{gone}.{here}.Data",
        f".building.{os.getpid()}.{here}.Data",
        *kept,
    ):
        (tmp_path / name).mkdir()
    (tmp_path / "Data").mkdir()
    with whole_folder(tmp_path / "Other"):
        pass
    assert names(tmp_path) == sorted([*kept, "Data", "Other"])


def test_what_was_killed_between_the_two_renames_is_put_back(tmp_path: Path) -> None:
    replaced = tmp_path / f".replaced.{gone_pid()}.{this_host()}.Data"
    replaced.mkdir()
    (replaced / "old").touch()
    with whole_folder(tmp_path / "Other"):
        pass
    assert names(tmp_path) == ["Data", "Other"] and names(tmp_path / "Data") == ["old"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made"), whole_folder(tmp_path / "file" / "Data"):
        pass
