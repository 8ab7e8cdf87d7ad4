"""A command whose output nobody reads any more finishes its work without a traceback."""

import os
from pathlib import Path

import pytest

from tests.trained import copied, fold_path, running, train_arguments


def test_row_76_training_finishes_when_the_reader_of_its_output_is_gone(trained_root: Path, tmp_path: Path) -> None:
    root = copied(trained_root, tmp_path, results=False)
    reader, writer = os.pipe()
    with running(tmp_path, "train", train_arguments(root), stdout=writer) as process:
        os.close(writer)
        with os.fdopen(reader) as stream:
            assert stream.readline().startswith("run full")  # as `| head -1` does
        code, _, err = process.outcome()
    assert code == 0 and "Error" not in err and "Traceback" not in err
    assert (fold_path(root) / "summary.json").exists()


@pytest.mark.parametrize("streams", [("stdout", "stderr"), ("stderr",)])
def test_row_76_a_command_ends_well_on_closed_pipes(
    trained_root: Path, tmp_path: Path, streams: tuple[str, ...]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    arguments = ["--root", str(trained_root), "--verify-only"]
    with running(tmp_path, "plan", arguments, **dict.fromkeys(streams, writer)) as process:
        os.close(writer)
        code, out, err = process.outcome()
    assert code == 0 and "Traceback" not in err
    assert "stdout" in streams or "verified" in out


def test_row_76_a_command_ends_well_without_standard_output(trained_root: Path, tmp_path: Path) -> None:
    before = "import os; os.close(1); sys.stdout = None"  # as `>&-` does
    with running(tmp_path, "plan", ["--root", str(trained_root), "--verify-only"], before=before) as process:
        code, _, err = process.outcome()
    assert code == 0 and "Traceback" not in err, err
