"""Row 103: what libraries read from the environment at import stops no
command: a user id without a name, a backend of another environment.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.synthetic import TINY, write_dataset
from tests.trained import REPOSITORY, copied, train_arguments

NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")
# what the C library says of a user id that has no line in /etc/passwd
UNKNOWN = "import os, pwd\ndef unknown(uid): raise KeyError('uid not found')\npwd.getpwuid = unknown\n"
NOTEBOOK = "module://matplotlib_inline.backend_inline"


def run(command: str, *arguments: object, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in NAMES}
    lines = f"{before}import sys\nfrom hippopt.cli.{command} import main\nsys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", lines, *map(str, arguments)],
        env={**kept, **environment},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("before", "environment"),
    [(UNKNOWN, {}), ("", {"MPLBACKEND": NOTEBOOK})],
    ids=["no user name", "a notebook's backend"],
)
def test_row_103_planning_and_training_go_on(
    trained_root: Path, tmp_path: Path, before: str, environment: dict[str, str]
) -> None:
    write_dataset(tmp_path / "new")
    planned = run("plan", "--root", tmp_path / "new", "--device", "cpu", "--set", *TINY, before=before, **environment)
    assert planned.returncode == 0, planned.stderr
    root = copied(trained_root, tmp_path, results=False)
    trained = run("train", *train_arguments(root), before=before, **environment)
    assert trained.returncode == 0, trained.stderr


@pytest.mark.parametrize("given", [{}, {"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "7"}], ids=str)
def test_row_103_threads_wait_briefly_unless_the_environment_says_how(given: dict[str, str]) -> None:
    """Cores that other work shares: threads that wait without pause take the time of those they wait for."""
    code = (
        "import argparse, os; from hippopt.cli.command import run\n"
        "parser = argparse.ArgumentParser(); parser.set_defaults(root='.', debug=False)\n"
        "run(parser, lambda *_: print(os.environ.get('GOMP_SPINCOUNT'), os.environ.get('OMP_WAIT_POLICY')), [])"
    )
    kept = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    found = subprocess.run([sys.executable, "-c", code], env=kept | given, capture_output=True, text=True)
    spins = given.get("GOMP_SPINCOUNT", "None" if given else "10000")
    assert found.stdout.split() == [spins, given.get("OMP_WAIT_POLICY", "None")], found.stderr
