"""MONAI without what it only passes on, in a fresh interpreter."""

import subprocess
import sys

import pytest

LEAN = """
import sys
from hippopt.networks.lean_import import import_monai_lean
import_monai_lean()
import_monai_lean()
assert "monai" not in sys.modules
from monai.networks.nets import UNETR
"""
COMMAND = """
import argparse, sys
from hippopt.cli.command import run
parser = argparse.ArgumentParser()
parser.add_argument("--root", default=".")
parser.add_argument("--debug", action="store_true")
def work(options, workspace, console):
    from monai.losses import DiceCELoss
run(parser, work, [])
"""
CHECKS = """
import importlib.resources
assert "monai.networks.nets" in sys.modules
assert "monai.engines" not in sys.modules, "all of MONAI was imported"
assert "transformers" not in sys.modules and "matplotlib" not in sys.modules, "left behind"
assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("hippopt")]
import transformers, matplotlib.pyplot
import pkgutil
import monai.utils.module
from monai.losses import DiceCELoss
from monai.networks.nets import UNETR
assert pkgutil.walk_packages is monai.utils.module.walk_packages and "monai.losses" in sys.modules
assert importlib.resources.files("monai").joinpath("__init__.py").is_file() and monai.__loader__.get_filename()
print(transformers.HERE)
"""
# MONAI's stand-in waits, while it is imported, for another thread to import what is hidden from it
MEANWHILE = """
import sys, threading
from hippopt.networks.lean_import import import_monai_lean
import_monai_lean()
import monai
print(monai.own, "sklearn" in sys.modules)
"""
STAND_IN = """
import threading
try:
    import sklearn
    own = "seen"
except ImportError:
    own = "hidden"
thread = threading.Thread(target=__import__, args=("sklearn",))
thread.start()
thread.join()
"""


def _fresh(code, folder):
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"],
        capture_output=True,
        text=True,
    )
    assert not found.returncode, found.stderr
    return found.stdout.split()


@pytest.mark.parametrize("first", [LEAN, COMMAND], ids=["from Python", "in every command"])
def test_needless_packages_are_imported_only_when_they_are_asked_for(tmp_path, first):
    package = tmp_path / "transformers"
    package.mkdir()
    (package / "__init__.py").write_text("print('imported')\nHERE = 'here'\n")
    assert _fresh(first + CHECKS, tmp_path) == ["imported", "here"]


def test_what_is_hidden_from_monai_is_not_hidden_from_other_threads(tmp_path):
    monai = tmp_path / "monai"
    for part in ("apps", "inferers", "networks/nets"):
        (monai / part).mkdir(parents=True)
    for folder in (monai / "apps", monai / "inferers", monai / "networks", monai / "networks/nets"):
        (folder / "__init__.py").write_text("")
    (monai / "__init__.py").write_text(STAND_IN)
    (tmp_path / "sklearn.py").write_text("")
    assert _fresh(MEANWHILE, tmp_path) == ["hidden", "True"]
