"""Fixtures: workspaces and the commands to run on them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# one profile for all property tests: the same examples in every run, and no time limit per example, which a busy
# machine would break
settings.register_profile(
    "laws",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("laws")

# the networks of the tests are tiny: one thread is as fast, and several test runs do not get in each other's way
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.synthetic import TINY, Command, write_dataset  # noqa: E402

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture
def real_data() -> Path:
    """The folder of real scans; the test is skipped where there is none."""
    folder = Path(os.environ.get("HIPPOPT_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real scans at {folder}; set HIPPOPT_REAL_DATA")
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace root with one raw data set of six cases."""
    write_dataset(tmp_path)
    return tmp_path


@pytest.fixture
def run_command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process: run_command("plan", "--root",
    root) -> (exit code, standard output, standard error).
    """
    import importlib

    def run(name: str, *arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = importlib.import_module(f"hippopt.cli.{name}").main([str(argument) for argument in arguments])
        except SystemExit as error:  # argparse ends so
            code = int(error.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def no_plots() -> Iterator[None]:
    """Trainings of a file draw no plots, which take longer than their few steps."""
    from tests.trained import without_plots

    with without_plots():
        yield


@pytest.fixture(scope="session")
def trained_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that is planned and has run `full` with folds 0 and 1 trained for six steps.

    Read-only by convention: copy it to change it.
    """
    from hippopt.cli import plan, train

    root = tmp_path_factory.mktemp("trained")
    write_dataset(root)
    assert plan.main(["--root", str(root), "--device", "cpu", "--set", *TINY]) == 0
    for fold in ("0", "1"):
        assert (
            train.main(["Blob", fold, "--root", str(root), "--method", "full", "--steps", "6", "--device", "cpu"]) == 0
        )
    return root


@pytest.fixture(scope="session")
def lora_root(trained_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`trained_root` with run `lora-pt-r4` besides, folds 0 and 1
    on the network of `full`, fold 0. Read-only by convention.
    """
    from hippopt.cli import train
    from tests.trained import copied, fold_path, without_plots

    root = copied(trained_root, tmp_path_factory.mktemp("lora"))
    with without_plots():
        for fold in ("0", "1"):
            arguments = [
                "Blob",
                fold,
                "--root",
                root,
                "--base",
                fold_path(root),
                "--steps",
                3,
                "--device",
                "cpu",
                "--allow-seen",
            ]
            assert train.main([str(argument) for argument in arguments]) == 0
    return root


@pytest.fixture(scope="session")
def head_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of whole brains with run `full`, fold 0 trained with its locator. Read-only by convention."""
    from hippopt.cli import plan, train
    from tests.heads import SMALL, write_heads
    from tests.trained import without_plots

    root = tmp_path_factory.mktemp("heads")
    write_heads(root)
    assert plan.main(["--root", str(root), "--device", "cpu", "--set", *SMALL]) == 0
    with without_plots():
        arguments = [
            "Head",
            "0",
            "--root",
            str(root),
            "--method",
            "full",
            "--base",
            "none",
            "--steps",
            "150",
            "--device",
            "cpu",
        ]
        assert train.main(arguments) == 0
    return root
