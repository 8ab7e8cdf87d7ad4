"""The base that comes with hippopt is where training starts, unless the user says otherwise or it does not fit."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from hippopt.networks.base_files import default_base, read_base, shipped_bases
from hippopt.networks.tensor_files import file_sha256, to_bytes
from hippopt.networks.unetr import SIZES
from tests.label_maps import write_label_maps
from tests.records import small_plan
from tests.synthetic import Command, write_scans
from tests.trained import copied, fold_path, train_arguments


@pytest.fixture(scope="module")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of the tests' tiny network, of a folder as the package has one."""
    from hippopt.cli import pretrain

    root = tmp_path_factory.mktemp("base")
    maps = write_label_maps(root / "maps")
    arguments = [
        "--root",
        root,
        "--synthetic",
        maps,
        "--size",
        "tiny",
        "--patch",
        32,
        32,
        32,
        "--hold-out",
        1,
        "--device",
        "cpu",
        "--steps",
        1,
    ]
    assert pretrain.main([str(argument) for argument in arguments]) == 0
    return root / "results" / "pretraining" / "synthetic-tiny" / "base.safetensors"


@pytest.fixture
def shipping(monkeypatch: pytest.MonkeyPatch, tiny_base: Path) -> Path:
    """hippopt as if it shipped the tiny base."""
    monkeypatch.setattr("hippopt.networks.base_files.shipped_bases", lambda: [tiny_base])
    return tiny_base


def test_training_starts_from_it(trained_root: Path, tmp_path: Path, run_command: Command, shipping: Path) -> None:
    """Without --base: the shipped one, adapted by the plan's method;
    its head begun by names; its sha256 in the adapter's card.
    """
    root = copied(trained_root, tmp_path, results=False)
    arguments = [word for word in train_arguments(root) if word not in ("--method", "full")]
    code, out, err = run_command("train", *arguments)
    assert code == 0, err
    assert "base weights:" in out and "lora-pt" in out
    folder = fold_path(
        root,
        run=next(path.name for path in (root / "results" / fold_path(root).parents[1].name).iterdir() if path.is_dir()),
    )
    card = json.loads((folder / "adapter.json").read_text())
    assert card["base_sha256"] == read_base(shipping)[1].sha256


def test_none_means_none(trained_root: Path, tmp_path: Path, run_command: Command, shipping: Path) -> None:
    root = copied(trained_root, tmp_path, results=False)
    code, out, _ = run_command("train", *train_arguments(root, "--base", "none"))
    assert code == 0 and "base weights" not in out
    assert json.loads((fold_path(root) / "adapter.json").read_text())["base_sha256"] is None


def test_another_network_has_no_default(trained_root: Path, shipping: Path) -> None:
    """A base of another width cannot be adapted, so nothing is shipped for such a plan."""
    import msgspec

    from hippopt.artifacts.plan_rules import load_plan
    from tests.trained import plan_path

    plan = load_plan(plan_path(trained_root))
    assert default_base(plan) == shipping
    assert default_base(msgspec.structs.replace(plan, network=SIZES["small"])) is None
    assert default_base(msgspec.structs.replace(plan, channel_names=("T1", "T2"))) is None


def test_models_on_it_travel_without_it(
    trained_root: Path, tmp_path: Path, run_command: Command, shipping: Path
) -> None:
    """Where hippopt is installed its base is there too: a model exported without it installs, and is a few MB."""
    root, other = copied(trained_root, tmp_path, results=False), tmp_path / "elsewhere"
    assert run_command("train", *train_arguments(root, method="decoder"))[0] == 0
    code, out, _ = run_command("export", "Blob", tmp_path / "model.zip", "--root", root, "--without-base")
    assert code == 0 and "--base" not in out.splitlines()[-1]
    code, _, err = run_command("install", tmp_path / "model.zip", "--root", other)
    assert code == 0, err
    assert not list((other / "results").glob("bases/*.safetensors"))
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    assert run_command("predict", "-i", scans, "-o", tmp_path / "out", "--root", other, "--device", "cpu")[0] == 0
    assert (tmp_path / "out" / "a.nii.gz").is_file()
    assert run_command("export", "Blob", tmp_path / "again.zip", "--root", other)[0] == 0
    code, _, err = run_command("install", tmp_path / "again.zip", "--root", tmp_path / "third")
    assert code == 0, err


@pytest.fixture
def two_shipped(monkeypatch: pytest.MonkeyPatch, tiny_base: Path, tmp_path: Path) -> tuple[Path, Path]:
    """hippopt as if it shipped two bases of the tiny network: (older, newer)."""
    older, newer = tmp_path / "bases" / "tiny.safetensors", tmp_path / "bases" / "tiny-2.safetensors"
    older.parent.mkdir()
    for path in (older, newer):
        tensors = load_file(tiny_base)
        if path == newer:
            tensors = {name: value + 0.01 if name.startswith("encoder1.") else value for name, value in tensors.items()}
        path.write_bytes(to_bytes(tensors))
        card = json.loads(tiny_base.with_suffix(".json").read_text())
        path.with_suffix(".json").write_text(json.dumps({**card, "name": path.stem, "sha256": file_sha256(path)}))
    monkeypatch.setattr("hippopt.networks.base_files.shipped_bases", lambda: [older, newer])
    return older, newer


def test_the_newest_is_the_default_and_a_begun_run_keeps_its_own(
    trained_root: Path,
    tmp_path: Path,
    run_command: Command,
    two_shipped: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fold trained after an update begins from the base of the run's other
    folds; a new run begins from the newest base, --base from the one named.
    """
    older, newer = two_shipped
    root = copied(trained_root, tmp_path, results=False)
    monkeypatch.setattr("hippopt.networks.base_files.shipped_bases", lambda: [older])
    assert run_command("train", *train_arguments(root, method="decoder"))[0] == 0
    monkeypatch.setattr("hippopt.networks.base_files.shipped_bases", lambda: [older, newer])
    first, second = file_sha256(older), file_sha256(newer)
    assert run_command("train", *train_arguments(root, fold=1, method="decoder"))[0] == 0
    assert run_command("train", *train_arguments(root, "--name", "anew", method="decoder"))[0] == 0
    assert run_command("train", *train_arguments(root, "--name", "named", "--base", newer, method="decoder"))[0] == 0
    found = {}
    for path in (root / "results").glob("Dataset*/*/*/adapter.json"):
        found[path.parent.parent.name, path.parent.name] = json.loads(path.read_text())["base_sha256"]
    assert sorted(found.values()) == sorted([first, first, second, second])
    assert {sha for (run, _), sha in found.items() if run == "decoder"} == {first}


def test_a_plan_begins_from_the_newest_of_those_that_ship() -> None:
    """A name with a number sorts behind the one without; file names would not, `-` comes before `.`."""
    assert [path.stem for path in shipped_bases()] == ["synthetic-small", "synthetic-small-5"]
    plan = small_plan(network=SIZES["small"], channel_names=("T1",))
    found = default_base(plan)
    assert found is not None and found.stem == "synthetic-small-5"


def test_what_is_shipped_is_whole() -> None:
    """Weights and card belong together, are at most 20 MB, have seen no
    scans, and say who is to be credited, under which licence.
    """
    assert shipped_bases()
    for path in shipped_bases():
        _, card = read_base(path)
        assert path.stat().st_size <= 20e6
        assert card.seen_images == () and card.licence.startswith("Apache-2.0") and card.attribution and card.command
        notice = (path.parent / "NOTICE").read_text()
        assert path.name in notice
        if "3D Slicer" in card.licence:  # its terms must travel with every copy
            assert (
                "PART B. DOWNLOADING AGREEMENT" in notice
                and "PART C. MISCELLANEOUS" in notice
                and "10.3389/fnana.2022.894606" in notice
            )
