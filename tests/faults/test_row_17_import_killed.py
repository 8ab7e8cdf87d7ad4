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

RUN = "import sys; from hippopt.cli.import_dataset import main; sys.exit(main(sys.argv[1:]))"


def let_go(pipe: Path, data: bytes) -> None:
    """Give the process that waits at the pipe its data, and a plain file to whoever opens it next."""
    writer = os.open(pipe, os.O_WRONLY)
    pipe.unlink()
    pipe.write_bytes(data)
    os.write(writer, data)
    os.close(writer)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_row_17_killed_half_way(tmp_path: Path, run_command: Command, number: signal.Signals) -> None:
    source = write_pair(tmp_path / "in")
    last = source / "images" / "case_2.nii.gz"
    kept = last.read_bytes()
    last.unlink()
    os.mkfifo(last)  # reading it waits for ever: the import stops in its last case
    arguments = [str(source), "--id", "4", "--name", "Test", "--root", str(tmp_path), "--jobs", "1"]
    process = subprocess.Popen([sys.executable, "-c", RUN, *arguments], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not any((tmp_path / "raw_data").glob(".building.*/labelsTr/case_1.nii.gz")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    assert len(made(tmp_path)) == 1 and made(tmp_path)[0].startswith(".building.")
    process.send_signal(number)
    if number == signal.SIGINT:
        let_go(last, kept)  # the case that is being read may end
        assert process.wait(30) == 130 and "stopped by Ctrl-C" in process.stderr.read()  # type: ignore[union-attr]
        assert made(tmp_path) == []
        return
    assert process.wait(30) == -number
    assert not (tmp_path / "raw_data" / "Dataset004_Test").exists()
    last.unlink()
    last.write_bytes(kept)
    assert run_command("import_dataset", *arguments)[0] == 0
    assert made(tmp_path) == ["Dataset004_Test"]
