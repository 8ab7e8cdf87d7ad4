"""With --resume a fold is started where nothing of it is there, so
that one command serves at first, and again after every stop.
"""

from pathlib import Path

import pytest

from tests.synthetic import Command
from tests.trained import assert_stopped, copied, fold_path, train_arguments


@pytest.mark.parametrize(("fold", "trained"), [(2, [2]), ("all", [0, 1, 2, 3, 4])])
def test_row_63_what_was_never_begun_is_started(
    trained_root: Path, tmp_path: Path, run_command: Command, fold: int | str, trained: list[int]
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    code, _, err = run_command("train", *train_arguments(root, "--resume", "--jobs", 1, fold=fold))
    assert code == 0, err
    assert [number for number in range(5) if (fold_path(root, number) / "summary.json").exists()] == trained


def test_row_63_resume_and_overwrite_exclude_each_other(trained_root: Path, run_command: Command) -> None:
    assert_stopped(
        run_command("train", *train_arguments(trained_root, "--resume", "--overwrite")), "--overwrite", code=2
    )
