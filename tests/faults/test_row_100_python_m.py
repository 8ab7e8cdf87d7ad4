"""Row 100: `python -m hippopt.cli.NAME` runs the command as its script
does, and never ends with success without having done anything.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
MODULES = sorted({target.partition(":")[0] for target in PROJECT["project"]["scripts"].values()})


@pytest.mark.parametrize("module", MODULES)
def test_python_m_runs_the_command(module: str) -> None:
    wrong = subprocess.run([sys.executable, "-m", module, "--no-such-option"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "usage: hippopt_" in wrong.stderr
