"""The wheel, installed without the source tree, runs the commands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.synthetic import write_dataset


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed wheel: packages and bin/."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(REPOSITORY / "hippopt", source / "hippopt", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source], check=True)
    shutil.rmtree(source)
    wheel = next(folder.glob("hippopt-*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def run_installed(installed: Path, command: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    words = [str(installed / "bin" / command), *(str(argument) for argument in arguments)]
    return subprocess.run(words, env=environment, cwd=installed, capture_output=True, text=True)


def test_what_the_wheel_holds(installed: Path) -> None:
    assert (installed / "hippopt" / "py.typed").is_file()
    assets = REPOSITORY / "hippopt" / "reporting" / "pages" / "assets"
    for asset in assets.iterdir():  # templates, style and scripts of the pages
        assert (installed / asset.relative_to(REPOSITORY)).read_bytes() == asset.read_bytes()
    assert next(installed.glob("hippopt-*.dist-info")).joinpath("licenses", "LICENSE").is_file()
    where = subprocess.run(
        [sys.executable, "-c", "import hippopt; print(hippopt.__file__)"],
        env=os.environ | {"PYTHONPATH": str(installed)},
        cwd=installed,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(installed)


@pytest.mark.parametrize(
    "command", ["import", "plan", "train", "predict", "evaluate", "report", "export", "install", "demo"]
)
def test_every_command_answers(installed: Path, command: str) -> None:
    done = run_installed(installed, f"hippopt_{command}", "--help")
    assert done.returncode == 0 and "--root" in done.stdout, done.stderr


def test_a_data_set_is_planned(installed: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path)
    done = run_installed(installed, "hippopt_plan", "--root", tmp_path, "--device", "cpu", "--no-preprocess")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "plans" / "Dataset007_Blob" / "plan.json").is_file()
