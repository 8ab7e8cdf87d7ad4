"""hippopt_combine_maps as a user runs it."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from hippopt.errors import OutputError
from tests.combined_maps import anatomy, write_map
from tests.synthetic import Command


@pytest.fixture
def sources(tmp_path: Path) -> tuple[Path, Path]:
    """Two manual maps with a notice, two heads."""
    manual, heads = tmp_path / "manual", tmp_path / "heads"
    write_map(manual / "a_dseg.nii.gz", anatomy(1), "LAS")
    write_map(manual / "b_dseg.nii.gz", anatomy(1, np.diag([1.05, 1.0, 0.97])), "LAS")
    (manual / "NOTICE.txt").write_text("Terms that travel along.")
    for number, shift in enumerate(((1.0, 0.0, -1.0), (-1.0, 2.0, 0.0))):
        write_map(heads / f"head_{number}.nii.gz", anatomy(0, np.diag([1.0, 1.06, 1.0]), shift), "LIA")
    return manual, heads


def test_maps_table_origin_and_sheet(tmp_path: Path, sources: tuple[Path, Path], run_command: Command) -> None:
    """One map for each manual one, which hippopt_pretrain can read; what they are made from lies beside them."""
    out = tmp_path / "combined"
    arguments = ("combine_maps", *sources, out, "--preview", tmp_path / "sheet.png", "--jobs", 2)
    code, text, err = run_command(*arguments)
    assert code == 0, err
    assert "2 maps in" in text and "0 left out" in text and "hippopt_pretrain --synthetic" in text
    table = pd.read_csv(out / "combined_maps.tsv", sep="\t", keep_default_na=False)
    assert list(table["map"]) == ["a_dseg.nii.gz", "b_dseg.nii.gz"] and set(table["head"]) == {
        "head_0.nii.gz",
        "head_1.nii.gz",
    }
    assert list(table["left_out"]) == ["", ""]
    for row in table.itertuples():
        values = np.asarray(nib.load(out / row.map).dataobj)
        assert ((values == 17).sum(), (values == 53).sum()) == (row.left_mm3, row.right_mm3)
        assert {2, 3, 24, 507} <= set(np.unique(values).tolist())
    origin = (out / "ORIGIN.txt").read_text()
    assert "Terms that travel along." in origin and "Modified" in origin and str(tmp_path) not in origin
    assert (tmp_path / "sheet.png").stat().st_size > 10_000
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    code, _, err = run_command(*arguments)
    assert code == 1 and "--overwrite" in err
    assert run_command(*arguments, "--overwrite", "--jobs", 1)[0] == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    code, text, err = run_command(
        "pretrain",
        "--root",
        tmp_path,
        "--synthetic",
        out,
        sources[1],
        "--size",
        "tiny",
        "--patch",
        32,
        32,
        32,
        "--hold-out",
        1,
        "--steps",
        1,
    )
    assert code == 0, err


def test_spacing_of_what_is_made(tmp_path: Path, sources: tuple[Path, Path], run_command: Command) -> None:
    """Finer voxels are said where the maps come from, and the table's volumes stay mm3; nonsense is refused."""
    out = tmp_path / "fine"
    code, _, err = run_command("combine_maps", *sources, out, "--spacing", 0.7, "--preview", tmp_path / "sheet.png")
    assert code == 0, err
    image = nib.load(out / "a_dseg.nii.gz")
    assert np.allclose(image.header.get_zooms(), 0.7)
    row = pd.read_csv(out / "combined_maps.tsv", sep="\t").iloc[0]
    left = (anatomy(0) == 17).sum()
    assert abs(row.left_mm3 / left - 1) < 0.03
    assert row.left_mm3 == round((np.asarray(image.dataobj) == 17).sum() * 0.7**3)
    assert "voxels of 0.7 mm" in (out / "ORIGIN.txt").read_text()
    for value in ("0", "-1", "nan", "50"):
        code, _, err = run_command("combine_maps", *sources, tmp_path / "none", "--spacing", value)
        assert code == 2 and "--spacing" in err and "0.3 to 3" in err
        assert not (tmp_path / "none").exists()


def test_what_cannot_be_written_ends_it_at_once(
    tmp_path: Path, sources: tuple[Path, Path], run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is no fault of a map: the maps after it are not tried."""
    from hippopt.stages import combine_maps

    tried = []

    def full(path: Path, *_: object) -> None:
        tried.append(path.name)
        raise OutputError(f"{path}: no space left on the device")

    monkeypatch.setattr(combine_maps, "write_array", full)
    (sources[1] / "head_1.nii.gz").unlink()
    code, _, err = run_command("combine_maps", *sources, tmp_path / "combined", "--jobs", 1)
    assert code == 1 and err.count("no space left") == 1 and len(tried) == 1
    assert not (tmp_path / "combined").exists()


def test_the_rule_leaves_out_what_does_not_fit(
    tmp_path: Path, sources: tuple[Path, Path], run_command: Command
) -> None:
    """A manual map whose thalamus is another one's is named with the reason and not written; with none left
    nothing is.
    """
    manual, heads = sources
    values = anatomy(1)
    values[values >= 11] = np.where(np.isin(values[values >= 11], (20, 21)), values[values >= 11], 0)
    values[20:44, 20:50, 25:40][values[20:44, 20:50, 25:40] == 0] = 16
    write_map(manual / "c_dseg.nii.gz", values, "LAS")
    code, text, err = run_command("combine_maps", manual, heads, tmp_path / "out", "--least-overlap", 0.75)
    assert code == 0, err
    assert "left out c_dseg.nii.gz in head_" in text and "is below 0.75" in text and "2 maps in" in text
    assert not (tmp_path / "out" / "c_dseg.nii.gz").exists()
    table = pd.read_csv(tmp_path / "out" / "combined_maps.tsv", sep="\t", keep_default_na=False)
    assert list(table["left_out"] != "") == [False, False, True]
    code, _, err = run_command("combine_maps", manual, heads, tmp_path / "none", "--most-gaps", 1e-6)
    assert code == 1 and "leaves out every map" in err and not (tmp_path / "none").exists()


def test_faults_are_named_and_leave_nothing(tmp_path: Path, sources: tuple[Path, Path], run_command: Command) -> None:
    manual, heads = sources
    out = tmp_path / "out"
    (manual / "broken.nii.gz").write_bytes(b"no image")
    values = anatomy(1)
    values[0, 0, 0] = 77
    write_map(manual / "odd.nii.gz", values)
    large = anatomy(0).astype(np.int32)
    large[0, 0, 0] = 40_000
    write_map(heads / "large.nii.gz", large)
    code, _, err = run_command("combine_maps", manual, heads, out)
    assert code == 1 and "large.nii.gz: holds 40000" in err and not out.exists()
    (heads / "large.nii.gz").unlink()
    code, _, err = run_command("combine_maps", manual, heads, out)
    assert code == 1 and "broken.nii.gz" in err and "holds 77" in err and not out.exists()
    for arguments, word in (
        ((tmp_path / "manuel", heads, out), "no such folder"),
        ((manual, heads, heads), "holds the maps to be combined"),
        ((manual, tmp_path / "empty", out), "no label map in it"),
        ((manual, heads, out, "--jobs", 0), "--jobs"),
        ((manual, heads, out, "--most-gaps", -1), "--most-gaps"),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        code, _, err = run_command("combine_maps", *arguments)
        assert code in (1, 2) and word in err and len(err.splitlines()) == 1
