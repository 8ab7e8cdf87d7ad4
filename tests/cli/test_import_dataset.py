"""hippopt_import as a user types it."""

import subprocess
import sys
import time
from pathlib import Path

from tests.import_sources import write_decathlon, write_pair
from tests.synthetic import Command


def test_summary_and_next_command(tmp_path: Path, run_command: Command) -> None:
    (tmp_path / "s.tsv").write_text("case\tsubject\ntask_000\tS0\ntask_001\tS0\ntask_002\tS1\n")
    source = write_decathlon(tmp_path / "in", modalities=("T1", "T2"))
    code, out, err = run_command(
        "import_dataset", source, "--id", 4, "--name", "Hippo", "--root", tmp_path, "--subjects", tmp_path / "s.tsv"
    )
    assert code == 0 and "warning" not in err
    first, *rows, last = out.splitlines()
    assert first.startswith("Dataset004_Hippo: 3 cases of 2 subjects, 2 channels (T1, T2), from the layout Decathlon")
    assert rows == ["  Anterior: 378 voxels, 126 per case", "  Posterior: 378 voxels, 126 per case"]
    assert last.endswith("next: hippopt_plan Hippo")


def test_the_next_command_accepts_what_was_made(tmp_path: Path, run_command: Command) -> None:
    source = write_pair(tmp_path / "in", 6)
    assert (
        run_command("import_dataset", source, "--id", 4, "--name", "Hippo", "--root", tmp_path, "--labels", "a=2")[0]
        == 0
    )
    code, out, err = run_command("plan", "Hippo", "--root", tmp_path, "--verify-only")
    assert code == 0, err
    assert "6 cases of 6 subjects verified, no faults" in out


def test_labels_may_be_given_in_several_options(tmp_path: Path, run_command: Command) -> None:
    command = ("import_dataset", write_pair(tmp_path / "in"), "--id", 4, "--name", "Hippo", "--root", tmp_path)
    code, out, _ = run_command(*command, "--labels", "b=2", "--labels", "a=1")
    assert code == 0 and [line.split(":")[0].strip() for line in out.splitlines()[1:3]] == ["b", "a"]
    assert run_command(*command, "--jobs", 0)[0] == 2


def test_help_answers_at_once() -> None:
    script = (
        "import sys; from hippopt.cli.import_dataset import main\ntry: main(['--help'])\nexcept SystemExit:"
        " print('heavy', {'numpy', 'torch', 'nibabel'} & set(sys.modules))"
    )
    started = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.endswith("heavy set()\n") and "--subjects" in result.stdout
    assert time.perf_counter() - started < 2  # 0.1 s on an idle machine
