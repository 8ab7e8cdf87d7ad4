"""The image of the Dockerfile: built and run where podman or docker runs; what the recipes say is checked
everywhere.
"""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.synthetic import blob_case, save_nifti
from tests.trained import REPOSITORY, run_path

RECIPES = ("Dockerfile", "apptainer.def")
INDEXES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS")


def engine() -> str:
    """podman or docker, where it runs; else the test is skipped with the reason."""
    reasons = []
    for name in ("podman", "docker"):
        if shutil.which(name) is None:
            reasons.append(f"{name} is not installed")
        elif (said := subprocess.run([name, "info"], capture_output=True, text=True, check=False)).returncode:
            reasons.append(f"{name} does not run: {said.stderr.strip()[-100:]}")
        else:
            return name
    pytest.skip("; ".join(reasons))


@pytest.mark.container
@pytest.mark.slow
def test_the_image_segments_a_bids_data_set(trained_root: Path, tmp_path: Path) -> None:
    program, tag = engine(), "hippopt-test"
    # the package indexes of this machine, where pip is told of others than its own
    indexes = [f"--build-arg={name}" for name in INDEXES if name in os.environ]
    subprocess.run([program, "build", *indexes, "-t", tag, REPOSITORY], check=True)
    save_nifti(tmp_path / "bids/sub-01/anat/sub-01_T1w.nii.gz", blob_case(100)[0])
    (tmp_path / "bids/dataset_description.json").write_text('{"Name": "Blobs", "BIDSVersion": "1.10.0"}')
    (tmp_path / "out").mkdir()
    mounts = ["-v", f"{tmp_path / 'bids'}:/data:ro", "-v", f"{tmp_path / 'out'}:/out", "-v", f"{trained_root}:/work:ro"]
    command = [program, "run", "--rm", "--network=none", *mounts, tag, "/data", "/out"]
    for level in ("participant", "group"):
        subprocess.run(
            [*command, level, "--root", "/work", "--model", f"Blob/{run_path(trained_root).name}"], check=True
        )
    assert (tmp_path / "out/sub-01/anat/sub-01_space-orig_seg-hippopt_dseg.nii.gz").exists()
    rows = (tmp_path / "out/phenotype/hippocampus.tsv").read_text().splitlines()
    assert len(rows) == 2 and rows[1].startswith("sub-01\t")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_pins_torch_as_the_constraints_do_and_names_no_index(name: str) -> None:
    text = (REPOSITORY / name).read_text()
    (pinned,) = re.findall(r"^torch==(\S+)$", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE)
    assert set(re.findall(r"torch==([\d.]+\d)", text)) == {pinned}
    assert "://" not in text and "hippopt_bids" in text
    copied = {"constraints.txt", "pyproject.toml", "README.md", "LICENSE", "hippopt"}
    assert all((REPOSITORY / part).exists() and part in text for part in copied)


def test_the_entry_point_is_a_command_of_the_package() -> None:
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts["hippopt_bids"] == "hippopt.cli.bids:main"


def test_the_citation_file_is_sound() -> None:
    found = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert (
        found["cff-version"] == "1.2.0" and found["license"] == "Apache-2.0" and found["message"] and found["authors"]
    )
    titles = [reference["title"] for reference in found["references"]]
    assert any("LoRA-PT" in title for title in titles) and any("MONAI" in title for title in titles)
    assert all(reference["authors"] and reference["type"] for reference in found["references"])
