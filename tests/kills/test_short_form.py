"""Three kills of each command; `python -m tests.kills` is the long form (docs/experiments.md has its counts)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kills.wholeness import broken, differences, digests
from tests.trained import REPOSITORY

QUICK = ("train", "plan", "predict", "import", "install")
SLOW = ("train lora-pt", "train side by side", "pretrain", "compare", "import --overwrite")


@pytest.mark.parametrize("names", [QUICK, pytest.param(SLOW, marks=pytest.mark.slow)], ids=["quick", "slow"])
def test_killed_commands_lose_nothing(names: tuple[str, ...], tmp_path: Path) -> None:
    counts = tmp_path / "counts.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.kills", "--kills", "3", "--json", counts, "--exactly", *names],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(counts.read_text())
    assert {name: (count["kills"], count["faults"]) for name, count in found.items()} == {
        name: (3, []) for name in names
    }


def test_what_is_half_or_other_is_told(tmp_path: Path) -> None:
    """The harness sees a cut file, a row that lacks cells, a missing file and another value, but no times."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.json").write_text('{"dice": 0.5, "seconds": 3}')
        (tmp_path / name / "t.csv").write_text("case,elapsed_s\na,3\n")
        (tmp_path / name / ".tmp-1.json").write_text("{")
    one, two = tmp_path / "one", tmp_path / "two"
    (two / "a.json").write_text('{"dice": 0.5, "seconds": 4}')
    (two / "t.csv").write_text("case,elapsed_s\na,4\n")
    assert broken(one) == [] and differences(digests(one), digests(two)) == []
    (two / "a.json").write_text('{"dice": 0.6, "seconds": 3}')
    (two / "t.csv").write_text("case,elapsed_s\na\n")
    (two / "b.json").write_text('{"dice"')
    assert [line.split(":")[0] for line in broken(two)] == ["b.json", "t.csv"]
    for name in ("b.json", "t.csv"):
        (two / name).unlink()
    assert differences(digests(two), digests(one)) == ["a.json: other content", "t.csv: missing"]
