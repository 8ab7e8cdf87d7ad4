"""What tests on trained workspaces share: copies, edits, contents by hash, and commands as processes."""

import contextlib
import hashlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.synthetic import Command, read_mask, write_scans

DATASET = "Dataset007_Blob"
REPOSITORY = Path(__file__).parent.parent
PATIENCE_S = 600.0  # a command begins slowly on a machine that others use too
LORA = "lora-pt-r4"  # the run of `lora_root`
NO_PLOTS = "import hippopt.stages.train_fold as stage; stage.plot_progress = lambda *_: None"


def copied(root: Path, to: Path, results: bool = True) -> Path:
    """A copy of a workspace that a test may change; without `results` only what planning made."""
    shutil.copytree(root, to / "workspace", ignore=None if results else shutil.ignore_patterns("results"))
    return to / "workspace"


def plan_path(root: Path) -> Path:
    return root / "plans" / DATASET / "plan.json"


def run_path(root: Path, run: str = "full") -> Path:
    return root / "results" / DATASET / run


def fold_path(root: Path, fold: int | str = 0, run: str = "full") -> Path:
    return run_path(root, run) / f"fold_{fold}"


def edit_json(path: Path, edit: Callable[[Any], Any]) -> None:
    """Change a JSON file as a person would: `edit` changes what it is given, or returns another thing."""
    data = json.loads(path.read_text())
    path.write_text(json.dumps(edit(data) or data))


def contents(folder: Path) -> dict[str, str]:
    """Relative path -> sha256 of every file of a folder; empty where there is none."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def train_arguments(
    root: Path, *more: object, fold: int | str = 0, method: str = "full", steps: int | None = 3
) -> list[str]:
    """Arguments of hippopt_train."""
    budget = [] if steps is None else ["--steps", steps]
    return [str(a) for a in ("Blob", fold, "--root", root, "--method", method, "--device", "cpu", *budget, *more)]


def assert_stopped(outcome: tuple[int, str, str], *words: object, code: int | None = None) -> None:
    """The command failed with lines that hold the words, and without a traceback."""
    found, _, err = outcome
    assert found == code if code is not None else found not in (0, None), err
    assert "Traceback" not in err
    for word in words:
        assert str(word) in err, f"{word!r} is not in: {err}"


def assert_same_tensors(first: Path, second: Path) -> None:
    """Bit for bit."""
    a, b = load_file(first), load_file(second)
    assert list(a) == list(b)
    for name in a:
        assert a[name].shape == b[name].shape and a[name].numpy().tobytes() == b[name].numpy().tobytes(), name


def assert_the_same_elsewhere(run_command: Command, root: Path, run: str, folder: Path) -> None:
    """A run predicts the same mask in its workspace and, exported, in one that knows its model file alone."""
    scans, elsewhere = folder / "scans", folder / "elsewhere"
    write_scans(scans, "a.nii.gz")
    assert run_command("export", "Blob", folder / "model.zip", "--root", root, "--run", run)[0] == 0
    assert run_command("install", folder / "model.zip", "--root", elsewhere)[0] == 0
    masks = []
    for place in (root, elsewhere):
        code, _, err = run_command(
            "predict", "-i", scans, "-o", place / "masks", "--root", place, "--run", run, "--device", "cpu"
        )
        assert code == 0, err
        masks += [read_mask(path) for path in sorted((place / "masks").glob("*.nii.gz"))]
    assert len(masks) == 2 and (masks[0] == masks[1]).all()


@contextlib.contextmanager
def signal_at(step: int, number: int = signal.SIGTERM) -> Iterator[None]:
    """A signal to this process right after this step of training."""
    from hippopt.training.pace import ProgressBar

    original = ProgressBar.update

    def update(self: ProgressBar, state: Any, value: float) -> None:
        original(self, state, value)
        if state.step == step:
            os.kill(os.getpid(), number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProgressBar, "update", update)
        yield


@contextlib.contextmanager
def without_plots() -> Iterator[None]:
    """A learning curve is drawn after each epoch, and takes longer than the tiny epochs of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hippopt.stages.train_fold.plot_progress", lambda *_: None)
        yield


def begin_fold(root: Path, steps: int = 12, stop: int = 7, **options: Any) -> Path:
    """Fold 0 begun and stopped by a signal; checkpoints stand at `stop` and at the epoch before. Returns its folder."""
    train = importlib.import_module("hippopt.cli.train")
    with signal_at(stop), without_plots():
        assert train.main(train_arguments(root, steps=steps, **options)) == 143
    return fold_path(root)


class CommandProcess:
    """A command in a process of its own, its output in files. `before`: Python lines that run first."""

    def __init__(self, folder: Path, command: str, arguments: list[str], before: str = "", **options: Any) -> None:
        lines = f"import sys\n{before}\nfrom hippopt.cli.{command} import main\nsys.exit(main(sys.argv[1:]))"
        self.out, self.err = folder / "stdout.txt", folder / "stderr.txt"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", lines, *arguments], cwd=REPOSITORY, start_new_session=True,
                **{"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err, **options},
            )  # fmt: skip

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition while the process runs."""
        until = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process.poll() is None, self.err.read_text()
            assert time.monotonic() < until
            time.sleep(0.01)

    def outcome(self) -> tuple[int, str, str]:
        """(exit code, standard output, standard error) once it has ended."""
        code = self.process.wait(PATIENCE_S)
        return code, self.out.read_text(), self.err.read_text()

    def end(self) -> None:
        """Kill it where it still runs."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextlib.contextmanager
def running(
    folder: Path, command: str, arguments: list[str], before: str = "", **options: Any
) -> Iterator[CommandProcess]:
    """A CommandProcess that is gone at the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    process = CommandProcess(folder, command, arguments, before, **options)
    try:
        yield process
    finally:
        process.end()
