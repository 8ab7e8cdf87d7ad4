"""Commands answer at once, and work where they are told to."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.synthetic import Command

HEAVY = (
    "torch",
    "monai",
    "nibabel",
    "SimpleITK",
    "numpy",
    "scipy",
    "pandas",
    "skimage",
    "sklearn",
    "matplotlib",
    "batchgenerators",
)
REPOSITORY = Path(__file__).parents[2]
COMMANDS = {
    name: target.partition(":")[0]
    for name, target in tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"].items()
}
PROBE = """
import importlib, json, sys
try:
    importlib.import_module({module!r}).main(["--help"])
except SystemExit as error:
    assert not error.code
print(json.dumps(sorted(name for name in {heavy!r} if name in sys.modules)))
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_help_imports_nothing_heavy(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(module=COMMANDS[name], heavy=HEAVY)],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr
    text, _, imported = done.stdout.rstrip().rpartition("\n")
    assert text.startswith(f"usage: {name} ") and "--root" in text
    assert json.loads(imported) == []


def test_the_package_imports_nothing_heavy_until_it_is_used() -> None:
    lines = (
        f"import hippopt, sys; print([name for name in {HEAVY!r} if name in sys.modules]); hippopt.Predictor;"
        " print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.split("\n")[:2] == ["[]", "True"]
    with pytest.raises(ImportError, match="Segmenter"):
        from hippopt import Segmenter  # noqa: F401


@pytest.mark.parametrize(
    "arguments", [["plan"], ["train", "4", "0"], ["predict", "-i", ".", "-o", "out", "-d", "None"]]
)
def test_the_root_is_that_of_the_option_else_of_the_environment(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_command: Command
) -> None:
    here, other, third = tmp_path / "here", tmp_path / "other", tmp_path / "third"
    for root, dataset in ((here, "Dataset001_Here"), (other, "Dataset002_Other"), (third, "Dataset003_Third")):
        (root / "raw_data" / dataset).mkdir(parents=True)
        (root / "raw_data" / f"{dataset[:9]}9_Twin").mkdir()  # so that none is the only one
    monkeypatch.chdir(here)

    def seen(*options: object) -> str:
        code, _, err = run_command(*arguments, *options)
        assert code == 2, err
        return err

    monkeypatch.delenv("HIPPOPT_ROOT", raising=False)
    assert "Dataset001_Here" in seen()
    monkeypatch.setenv("HIPPOPT_ROOT", str(other))
    assert "Dataset002_Other" in seen() and "Here" not in seen()
    assert "Dataset003_Third" in seen("--root", third) and "Other" not in seen("--root", third)
