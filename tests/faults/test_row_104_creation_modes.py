"""Row 104: the kernel decides how new files may be read: the umask is never changed, and a refused chmod
stops nothing.
"""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hippopt.artifacts.codec import write_atomically, write_bytes


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("umask", "expected"), [(0o027, 0o640), (0o002, 0o664), (0o077, 0o600)])
def test_row_104_files_get_the_mode_of_the_umask(tmp_path: Path, umask: int, expected: int) -> None:
    old = os.umask(umask)
    try:
        write_bytes(tmp_path / "a.bin", b"x")
    finally:
        os.umask(old)
    assert mode(tmp_path / "a.bin") == expected


def test_row_104_the_umask_is_never_changed_since_other_threads_would_write_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("the umask was changed"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write_bytes(tmp_path / f"{number}.bin", b"x"), range(50)))
    assert len(list(tmp_path.iterdir())) == 50


def test_row_104_where_chmod_is_refused_files_are_written_nevertheless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refuse)
    monkeypatch.setattr(Path, "chmod", refuse)

    def replacing(temporary: Path) -> None:  # as some libraries write
        temporary.unlink()
        temporary.write_bytes(b"y")
        os.fchmod(os.open(temporary, os.O_RDONLY), 0o600)

    write_bytes(tmp_path / "a.bin", b"x")
    write_atomically(tmp_path / "b.bin", replacing)
    assert (tmp_path / "b.bin").read_bytes() == b"y"


def test_row_104_a_file_that_a_library_put_in_its_place_gets_the_usual_mode(tmp_path: Path) -> None:
    def replacing(temporary: Path) -> None:
        temporary.unlink()
        os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))

    write_bytes(tmp_path / "usual", b"x")
    write_atomically(tmp_path / "a.bin", replacing)
    assert mode(tmp_path / "a.bin") == mode(tmp_path / "usual")
