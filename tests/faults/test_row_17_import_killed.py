"""An import that is killed leaves nothing under the final name, and the next import removes its traces."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.import_sources import made, write_pair
from tests.synthetic import Command

# the last case waits until the file GATE is there
RUN = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts in the background ignore Ctrl-C
import hippopt.stages.import_dataset as stage
original = stage.import_case
def waiting(case, *more):
    while case.id == "case_2" and not os.path.exists(os.environ["GATE"]):
        time.sleep(0.02)
    return original(case, *more)
stage.import_case = waiting
from hippopt.cli.import_dataset import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_row_17_killed_half_way(tmp_path: Path, run_command: Command, number: signal.Signals) -> None:
    source = write_pair(tmp_path / "in")
    gate = tmp_path / "gate"
    arguments = [str(source), "--id", "4", "--name", "Test", "--root", str(tmp_path), "--jobs", "1"]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments], stderr=subprocess.PIPE, text=True, env=os.environ | {"GATE": str(gate)}
    )
    deadline = time.monotonic() + 30
    while not any((tmp_path / "raw_data").glob(".building.*/labelsTr/case_1.nii.gz")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    assert len(made(tmp_path)) == 1 and made(tmp_path)[0].startswith(".building.")
    process.send_signal(number)
    if number == signal.SIGINT:
        gate.touch()  # the case that is being read may end
        assert process.wait(30) == 130 and "stopped by Ctrl-C" in process.stderr.read()  # type: ignore[union-attr]
        assert made(tmp_path) == []
        return
    assert process.wait(30) == -number
    assert not (tmp_path / "raw_data" / "Dataset004_Test").exists()
    assert run_command("import_dataset", *arguments)[0] == 0
    assert made(tmp_path) == ["Dataset004_Test"]
