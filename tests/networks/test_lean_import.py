"""MONAI without what it only passes on, in a fresh interpreter."""

import subprocess
import sys

CODE = """
import sys
from hippopt.networks.lean_import import import_monai
import_monai()
assert "monai.networks.nets" in sys.modules
assert "monai.engines" not in sys.modules, "all of MONAI was imported"
assert "transformers" not in sys.modules and "matplotlib" not in sys.modules, "left behind"
import_monai()
import transformers, matplotlib.pyplot
import pkgutil
import monai.utils.module
from monai.losses import DiceCELoss
from monai.networks.nets import UNETR
assert pkgutil.walk_packages is monai.utils.module.walk_packages and "monai.losses" in sys.modules
print(transformers.HERE)
"""


def test_needless_packages_are_imported_only_when_they_are_asked_for(tmp_path):
    package = tmp_path / "transformers"
    package.mkdir()
    (package / "__init__.py").write_text("print('imported')\nHERE = 'here'\n")
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{CODE}"],
        capture_output=True,
        text=True,
    )
    assert found.stdout.split() == ["imported", "here"], found.stderr
