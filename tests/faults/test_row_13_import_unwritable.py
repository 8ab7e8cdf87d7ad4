"""An import reports what may not be read or written, and a full disk, before anything is lost (rows 11, 13 and 65)."""

import contextlib
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from hippopt.console import SilentConsole
from hippopt.errors import DatasetError, OutputError
from hippopt.stages.import_dataset import ImportRequest, import_dataset
from hippopt.workspace import Workspace
from tests.import_sources import made, write_pair

NOBODY = 65534


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users may enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    write_pair(folder / "in")
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Root ignores permissions: be nobody meanwhile."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(user)


def bring(place: Path, **options: object) -> None:
    request = ImportRequest(source=place / "in", dataset="Dataset004_Test", **options)  # type: ignore[arg-type]
    import_dataset(Workspace(place), request, SilentConsole())


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_row_11_unreadable_files(place: Path, folder: str) -> None:
    (place / "raw_data").mkdir(mode=0o777)
    (place / "raw_data").chmod(0o777)
    (place / "in" / folder / "case_1.nii.gz").chmod(0)
    with without_privileges(), pytest.raises(DatasetError, match=r"case_1\.nii\.gz: no permission to read"):
        bring(place)
    assert made(place) == []


def test_row_11_unreadable_folder(place: Path) -> None:
    (place / "in" / "labels").chmod(0)
    with without_privileges(), pytest.raises(DatasetError, match=r"labels: cannot be read \(Permission denied\)"):
        bring(place)


def test_row_13_read_only_workspace_stops_before_work(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hippopt.stages.import_dataset.import_case", lambda *_: pytest.fail("worked"))
    (place / "raw_data").mkdir(mode=0o555)
    with without_privileges(), pytest.raises(OutputError, match=r"cannot be made in .*Permission denied"):
        bring(place)


def test_row_65_too_little_space_stops_before_work(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(OutputError, match=r"needs .* GB free"):
        bring(place)
    assert made(place) == []


def test_row_65_a_failing_write_keeps_the_old_data_set(place: Path) -> None:
    bring(place, cases="case_0")
    before = {path: path.read_bytes() for path in (place / "raw_data").rglob("*") if path.is_file()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))  # a write beyond 200 bytes fails, as on a full disk
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            bring(place, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in (place / "raw_data").rglob("*") if path.is_file()} == before
    assert made(place) == ["Dataset004_Test"]
