"""A place that takes no files is reported before anything is computed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.synthetic import Command, open_folder, run_plan, run_predict, without_privileges, write_dataset, write_scans
from tests.trained import assert_stopped


@pytest.fixture
def place() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.mark.parametrize("kind", ["the folder", "the folder above it", "a file"])
def test_row_13_prediction_stops_before_the_networks_are_loaded(
    trained_root: Path, place: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    scans = write_scans(place / "scans", "a.nii.gz")
    monkeypatch.setattr("hippopt.recipes.open_run.load_models", lambda *_: pytest.fail("computed"))
    output = place / "out"
    if kind == "a file":
        output.write_text("my notes")
    else:
        output.mkdir(mode=0o555)
        output = output / "masks" if kind == "the folder above it" else output
    # the trained workspace is in a folder that nobody may enter: only the writing is done without privileges
    from hippopt.recipes import prediction

    check = prediction.check_output

    def unprivileged(source: Path, folder: Path) -> None:
        with without_privileges():
            check(source, folder)

    monkeypatch.setattr(prediction, "check_output", unprivileged)
    assert_stopped(
        run_predict(run_command, trained_root, scans, output),
        f"-o {output}",
        "cannot be written",
        "choose another",
        code=1,
    )
    assert kind != "a file" or output.read_text() == "my notes"


@pytest.mark.parametrize("folder", ["plans", "preprocessed/Dataset007_Blob"])
def test_row_13_planning_stops_before_the_cases_are_read(
    place: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    write_dataset(place)
    monkeypatch.setattr("hippopt.recipes.planning.verify_dataset", lambda *_: pytest.fail("computed"))
    for name in ("plans", "preprocessed"):
        (place / name).mkdir()
        (place / name).chmod(0o777)
    (place / folder).mkdir(exist_ok=True)
    (place / folder).chmod(0o555)
    with without_privileges():
        assert_stopped(run_plan(run_command, place), place / folder, "cannot be written", code=1)


def test_row_13_verifying_needs_no_place_to_write(place: Path, run_command: Command) -> None:
    write_dataset(place)
    for name in ("plans", "preprocessed"):
        (place / name).mkdir(mode=0o555)
    with without_privileges():
        code, _, err = run_plan(run_command, place, "--verify-only")
    assert code == 0, err
