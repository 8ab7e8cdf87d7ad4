"""Initial factors: once a run, kept beside the base, and never taken for others."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from hippopt.artifacts.weights import AdapterCard
from hippopt.networks.initial_factors import InitialFactors, load_factors, save_factors
from hippopt.networks.tensor_files import tensors_sha256
from tests.records import changed
from tests.synthetic import Command, read_mask, run_predict, write_scans
from tests.trained import (
    LORA,
    NO_PLOTS,
    assert_stopped,
    contents,
    copied,
    edit_json,
    fold_path,
    run_path,
    running,
    signal_at,
    train_arguments,
)

pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture
def root(lora_root: Path, tmp_path: Path) -> Path:
    return copied(lora_root, tmp_path)


@pytest.fixture
def no_decomposition(monkeypatch: pytest.MonkeyPatch) -> None:
    """A t-SVD fails the test."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a t-SVD was computed")

    monkeypatch.setattr("hippopt.lorapt.adaptation.t_svd", never)


def initial_path(root: Path, run: str = LORA) -> Path:
    return run_path(root, run) / "initial.safetensors"


def cache_path(root: Path) -> Path:
    (path,) = (root / "results" / "bases").glob("*-rank4-*.safetensors")
    return path


def lora(root: Path, fold: int | str, *more: object, base: object = None, steps: int = 1) -> list[str]:
    return train_arguments(
        root, "--base", base or fold_path(root), "--allow-seen", *more, fold=fold, method="lora-pt", steps=steps
    )


def flip_last_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_they_are_stored_once_a_run_and_named_in_every_card(lora_root: Path) -> None:
    initial, record = load_factors(initial_path(lora_root))
    assert set(initial.tensors) == {
        f"{stack}.{name}" for stack in ("attention", "mlp_up", "mlp_down") for name in "usv"
    }
    assert {value.dtype for value in initial.tensors.values()} == {torch.float16} and record.dtype == "float16"
    for fold in (0, 1):
        for name in ("adapter", "adapter_best"):
            card = json.loads((fold_path(lora_root, fold, LORA) / f"{name}.json").read_text())
            tensors = load_file(fold_path(lora_root, fold, LORA) / f"{name}.safetensors")
            assert card["initial_sha256"] == initial.sha256 and card["base_sha256"] == record.base_sha256
            assert {key.partition(".")[0] for key in tensors} == {"trained", "rest"}
            assert card["dtype"] == "float16" and {value.dtype for value in tensors.values()} == {torch.float16}
    full = json.loads((fold_path(lora_root) / "adapter.json").read_text())
    assert full["dtype"] == "float32"
    assert full["initial_sha256"] is None and not initial_path(lora_root, "full").exists()


@pytest.mark.usefixtures("no_decomposition")
def test_another_fold_and_prediction_take_those_of_the_run(root: Path, tmp_path: Path, run_command: Command) -> None:
    cache_path(root).unlink()
    code, out, err = run_command("train", *lora(root, 2))
    assert code == 0 and "decompos" not in out, err
    code, _, err = run_predict(
        run_command, root, write_scans(tmp_path / "in", "a.nii.gz"), tmp_path / "out", "--run", LORA
    )
    assert code == 0, err


@pytest.mark.usefixtures("no_decomposition")
def test_another_run_of_the_base_takes_them_from_the_cache(root: Path, run_command: Command) -> None:
    code, out, err = run_command("train", *lora(root, 0, "--name", "mine"))
    assert code == 0 and f"taken from {cache_path(root)}" in out, err
    assert (
        initial_path(root, f"{LORA}-mine").read_bytes()
        == initial_path(root).read_bytes()
        == cache_path(root).read_bytes()
    )


def test_another_rank_is_decomposed_and_said_with_its_seconds(root: Path, run_command: Command) -> None:
    code, out, err = run_command("train", *lora(root, 0, "--rank", 2))
    assert code == 0 and "decomposed in" in out and "rank 2" in out, err
    assert len(list((root / "results" / "bases").glob("*-rank*.safetensors"))) == 2


@pytest.mark.parametrize("fault", ["bit", "cut", "empty", "other"])
def test_a_damaged_cache_is_computed_anew_with_a_warning(root: Path, run_command: Command, fault: str) -> None:
    cache, whole = cache_path(root), cache_path(root).read_bytes()
    if fault == "bit":
        flip_last_bit(cache)
    elif fault == "other":  # sound, but of another base
        initial, record = load_factors(cache)
        save_factors(
            cache,
            initial,
            type(record)(
                **{name: getattr(record, name) for name in record.__struct_fields__} | {"base_sha256": "0" * 64}
            ),
            True,
        )
    else:
        cache.write_bytes(whole[:100] if fault == "cut" else b"")
    code, out, err = run_command("train", *lora(root, 0, "--name", "mine"))
    assert code == 0 and "decomposed in" in out and str(cache) in err and "computed anew" in err, err
    assert cache.read_bytes() == whole == initial_path(root, f"{LORA}-mine").read_bytes()


@pytest.mark.parametrize("fault", ["missing", "bit", "others", "not a file of tensors"])
def test_prediction_refuses_changed_missing_and_other_factors(
    root: Path, tmp_path: Path, run_command: Command, fault: str
) -> None:
    path = initial_path(root)
    if fault == "missing":
        path.unlink()
    elif fault == "bit":
        flip_last_bit(path)
    elif fault == "others":  # sound, but not those that the folds were trained from
        initial, record = load_factors(path)
        moved = {name: value + 1 for name, value in initial.tensors.items()}
        save_factors(path, type(initial)(moved, tensors_sha256(moved)), record, True)
    else:
        path.write_text("{}")
    before = contents(root)
    outcome = run_predict(run_command, root, write_scans(tmp_path / "in", "a.nii.gz"), tmp_path / "out", "--run", LORA)
    assert_stopped(
        outcome,
        path,
        "missing" if fault == "missing" else "not the initial factors" if fault == "others" else "damaged",
        "copy",
    )
    assert contents(root) == before and not list((tmp_path / "out").glob("*.nii.gz"))


def test_lost_factors_come_back_only_as_the_same_ones(root: Path, run_command: Command) -> None:
    path, whole = initial_path(root), initial_path(root).read_bytes()
    flip_last_bit(path)
    code, _, err = run_command("train", *lora(root, 2))
    assert code == 0 and "made again" in err and path.read_bytes() == whole, err
    path.unlink()
    edit_json(fold_path(root, 1, LORA) / "adapter.json", lambda card: card.update(initial_sha256="0" * 64))
    before = contents(root)
    assert_stopped(run_command("train", *lora(root, 3)), path, "fold 1", "copy the original back")
    assert contents(root) == before


def test_a_fold_on_another_base_does_not_join_the_run(root: Path, run_command: Command) -> None:
    before = contents(root)
    other = fold_path(root, 1)
    outcome = run_command("train", *lora(root, 2, base=other))
    assert_stopped(outcome, initial_path(root), "base", "fold 0 1", "--name")
    after = contents(root)
    assert {key: after[key] for key in before} == before  # the new base was kept, and nothing else
    code, _, err = run_command("train", *lora(root, 2, "--name", "other", base=other))
    assert code == 0, err


def test_a_resumed_fold_refuses_other_factors(root: Path, run_command: Command) -> None:
    with signal_at(5):
        assert run_command("train", *lora(root, 0, "--name", "mine", steps=9))[0] == 143
    path = initial_path(root, f"{LORA}-mine")
    initial, record = load_factors(path)
    assert not any(key.startswith("initial") for key in load_file(path.parent / "fold_0" / "resume.safetensors"))
    moved = {name: value + 1 for name, value in initial.tensors.items()}
    whole = path.read_bytes()
    save_factors(path, type(initial)(moved, tensors_sha256(moved)), record, True)
    outcome = run_command("train", *lora(root, 0, "--name", "mine", "--resume", steps=9))
    assert_stopped(outcome, "resume.safetensors", path, "other initial factors")
    path.write_bytes(whole)
    assert run_command("train", *lora(root, 0, "--name", "mine", "--resume", steps=9))[0] == 0


def test_two_folds_in_two_processes_share_them(root: Path, tmp_path: Path, run_command: Command) -> None:
    cache_path(root).unlink()
    name, run = "both", f"{LORA}-both"
    with (
        running(tmp_path / "p0", "train", lora(root, 0, "--name", name, steps=3), before=NO_PLOTS) as first,
        running(tmp_path / "p1", "train", lora(root, 1, "--name", name, steps=3), before=NO_PLOTS) as second,
    ):
        outcomes = first.outcome(), second.outcome()
    assert [code for code, _, _ in outcomes] == [0, 0], outcomes
    assert sum("decomposed in" in out for _, out, _ in outcomes) == 1  # the second waited for the first
    cards = [json.loads((fold_path(root, fold, run) / "adapter.json").read_text()) for fold in (0, 1)]
    assert {card["initial_sha256"] for card in cards} == {load_factors(initial_path(root, run))[0].sha256}
    code, _, err = run_command(
        "predict", "-i", write_scans(tmp_path / "in", "a.nii.gz"), "-o", tmp_path / "out", "--root", root, "--run", run
    )
    assert code == 0 and read_mask(tmp_path / "out" / "a.nii.gz").shape == (18, 26, 14), err


def test_a_file_made_first_by_another_process_stays(lora_root: Path, tmp_path: Path) -> None:
    initial, record = load_factors(initial_path(lora_root))
    path = tmp_path / "initial.safetensors"
    save_factors(path, initial, record, replace=False)
    moved = {name: value + 1 for name, value in initial.tensors.items()}
    save_factors(path, type(initial)(moved, tensors_sha256(moved)), record, replace=False)
    assert load_factors(path)[0].sha256 == initial.sha256 and [file.name for file in tmp_path.iterdir()] == [path.name]


def test_an_adapter_of_before_is_told_as_such(root: Path, tmp_path: Path, run_command: Command) -> None:
    def aged(card: dict[str, object]) -> None:
        card.update(schema=1)
        del card["initial_sha256"], card["dtype"]

    edit_json(fold_path(root, 0, LORA) / "adapter.json", aged)
    outcome = run_predict(run_command, root, write_scans(tmp_path / "in", "a.nii.gz"), tmp_path / "out", "--run", LORA)
    assert_stopped(outcome, "adapter.json", "schema 1", "reads schema 2", "train the fold anew")


def test_factors_of_an_earlier_run_in_single_precision_are_kept(
    lora_root: Path, tmp_path: Path, run_command: Command
) -> None:
    """Hippopt before half precision wrote float32: such a run goes on with what its folds began with."""
    root = copied(lora_root, tmp_path)
    initial, record = load_factors(initial_path(root))
    wide = {name: value.float() + 1e-6 for name, value in initial.tensors.items()}
    old = InitialFactors(wide, tensors_sha256(wide))
    save_factors(initial_path(root), old, changed(record, dtype="float32"), replace=True)
    for fold in (0, 1):
        for name in ("adapter", "adapter_best"):
            edit_json(fold_path(root, fold, LORA) / f"{name}.json", lambda card: card.update(initial_sha256=old.sha256))
    code, _, err = run_command("train", *lora(root, 2))
    assert code == 0, err
    found, kept = load_factors(initial_path(root))
    assert found.sha256 == old.sha256 and kept.dtype == "float32"
    assert json.loads((fold_path(root, 2, LORA) / "adapter.json").read_text())["initial_sha256"] == old.sha256


def test_the_card_says_what_made_the_file(lora_root: Path) -> None:
    with safe_open(initial_path(lora_root), "pt") as stream:
        made_of = json.loads(stream.metadata()["hippopt"])["made_of"]
    assert made_of["rank"] == {"attention": 4, "mlp_up": 4, "mlp_down": 4} and made_of["dtype"] == "float16"
    assert [len(made_of["stacks"][name]) for name in ("attention", "mlp_up", "mlp_down")] == [48, 12, 12]
    assert "initial_sha256" in AdapterCard.__struct_fields__
