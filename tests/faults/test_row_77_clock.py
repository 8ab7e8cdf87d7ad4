"""A clock that jumps, back or forth, changes neither how long a training
with a budget of minutes takes nor the times that it writes down.
"""

import csv
import time
from pathlib import Path

import pytest

from tests.synthetic import Command
from tests.trained import copied, fold_path, train_arguments


@pytest.mark.parametrize("jump", [-1e6, 1e6], ids=["back", "forth"])
def test_row_77_times_are_those_of_a_clock_that_never_jumps(
    trained_root: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    root, real, calls = copied(trained_root, tmp_path, results=False), time.time, [0]

    def jumping() -> float:
        calls[0] += 1
        return real() + (jump if calls[0] % 2 else 0)

    monkeypatch.setattr(time, "time", jumping)
    code, _, err = run_command("train", *train_arguments(root, "--minutes", 0.2, steps=None))
    assert code == 0, err
    with (fold_path(root) / "log.csv").open(newline="") as stream:
        elapsed = [float(row["elapsed_s"]) for row in csv.DictReader(stream)]
    assert elapsed and elapsed == sorted(elapsed)
    assert all(0 <= seconds < 60 for seconds in elapsed)
