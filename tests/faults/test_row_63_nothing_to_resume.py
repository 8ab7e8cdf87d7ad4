"""--resume where there is no checkpoint is refused."""

from pathlib import Path

import pytest

from tests.synthetic import Command
from tests.trained import assert_stopped, contents, copied, run_path, train_arguments


@pytest.mark.parametrize("fold", [2, "all"])
def test_row_63_resuming_what_was_never_begun_stops(trained_root: Path, tmp_path: Path, run_command: Command, fold: int | str) -> None:
    root = copied(trained_root, tmp_path, results=False)
    before = contents(root)
    assert_stopped(run_command("train", *train_arguments(root, "--resume", fold=fold)), "nothing to resume", "without --resume")
    assert contents(root) == before and not run_path(root).exists()


def test_row_63_resume_and_overwrite_exclude_each_other(trained_root: Path, run_command: Command) -> None:
    assert_stopped(run_command("train", *train_arguments(trained_root, "--resume", "--overwrite")), "--overwrite", code=2)
