"""hippopt_pretrain as a user runs it: synthetic scans and data
sets, resume, several processes, and what becomes of the base.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hippopt.artifacts.codec import decode
from hippopt.artifacts.weights import BaseCard
from tests.label_maps import write_label_maps
from tests.synthetic import Command
from tests.trained import REPOSITORY, assert_same_tensors, signal_at

SMALL = ("--size", "tiny", "--patch", 32, 32, 32, "--hold-out", 1, "--device", "cpu")


@pytest.fixture(scope="module")
def label_maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_label_maps(tmp_path_factory.mktemp("label_maps"))


def pretraining(root: Path, name: str = "synthetic-tiny") -> Path:
    return root / "results" / "pretraining" / name


def test_synthetic_base_and_its_card(
    tmp_path: Path, label_maps: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights in half precision, a card that says what they are, and a fold that begins from them."""
    monkeypatch.setattr(
        "sys.argv", ["hippopt_pretrain", "--synthetic", str(label_maps), "--attribution", "A. Person, doi 10.1/x.2"]
    )
    code, out, _ = run_command(
        "pretrain",
        "--root",
        tmp_path,
        "--synthetic",
        label_maps,
        *SMALL,
        "--steps",
        3,
        "--licence",
        "Apache-2.0",
        "--set",
        "share_t1=1",
        "--set",
        "noise=0.1",
    )
    assert code == 0 and "hippopt_train" in out
    folder = pretraining(tmp_path)
    weights = load_file(folder / "base.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float16}
    card = decode(json.loads((folder / "base.json").read_text()), BaseCard, folder)
    assert card.steps == 3 and card.licence == "Apache-2.0" and card.seen_images == () and card.synthesis is not None
    assert (card.synthesis.share_t1, card.synthesis.noise, card.synthesis.patch_size) == (1.0, 0.1, (32, 32, 32))
    assert set(card.label_maps or {}) == {"map_0.nii.gz", "map_1.nii.gz"}
    assert str(label_maps.parent) not in (folder / "base.json").read_text()
    assert card.command == f"hippopt_pretrain --synthetic {label_maps.name} --attribution 'A. Person, doi 10.1/x.2'"
    assert not list(folder.glob("resume*"))


def test_interrupted_is_the_same_as_uninterrupted(tmp_path: Path, label_maps: Path, run_command: Command) -> None:
    """Stopped by a signal after step 2 and resumed, bit by bit."""
    arguments = ("pretrain", "--root", tmp_path, "--synthetic", label_maps, *SMALL, "--steps", 4)
    assert run_command(*arguments, "--name", "whole")[0] == 0
    with signal_at(2):
        code, _, err = run_command(*arguments, "--name", "parts")
    assert code == 143 and "--resume" in err
    code, _, err = run_command(*arguments, "--name", "parts", "--seed", 5, "--resume")
    assert code == 1 and "seed 0 -> 5" in err
    settings = pretraining(tmp_path, "parts") / "run.json"
    begun = json.loads(settings.read_text())
    settings.write_text(json.dumps({**begun, "processes": 2}))
    code, _, err = run_command(*arguments, "--name", "parts", "--resume")
    assert code == 1 and "processes 2 -> 1" in err
    settings.write_text(
        json.dumps({key: value for key, value in begun.items() if key != "processes"})
    )  # as earlier versions wrote it
    assert run_command(*arguments, "--name", "parts", "--resume")[0] == 0
    assert_same_tensors(
        pretraining(tmp_path, "whole") / "base.safetensors", pretraining(tmp_path, "parts") / "base.safetensors"
    )


def test_nothing_is_replaced_unasked(tmp_path: Path, label_maps: Path, run_command: Command) -> None:
    arguments = ("pretrain", "--root", tmp_path, "--synthetic", label_maps, *SMALL, "--steps", 1)
    assert run_command(*arguments, "--resume")[0] == 1
    assert run_command(*arguments)[0] == 0
    before = (pretraining(tmp_path) / "base.safetensors").read_bytes()
    code, _, err = run_command(*arguments, "--seed", 1)
    assert code == 1 and "finished" in err and "--overwrite" in err
    assert (pretraining(tmp_path) / "base.safetensors").read_bytes() == before
    assert run_command(*arguments, "--seed", 1, "--overwrite")[0] == 0
    assert (pretraining(tmp_path) / "base.safetensors").read_bytes() != before


def test_a_data_set_as_the_source(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    """The base has seen what it was trained on, so a fold that would be judged on these cases is refused."""
    from tests.trained import copied, train_arguments

    root = copied(trained_root, tmp_path, results=False)
    code, out, _ = run_command(
        "pretrain", "Blob", "--root", root, "--steps", 2, "--name", "blob", "--device", "cpu", "--precision", "float"
    )
    assert code == 0, out
    base = pretraining(root, "blob") / "base.safetensors"
    code, out, _ = run_command(*("train", *train_arguments(root, "--base", base)))
    assert code == 0 and "base weights" in out
    code, _, err = run_command(*("train", *train_arguments(root, "--base", base, fold=1)))
    assert code == 1 and "was trained on" in err


def test_a_base_never_forgets_what_it_saw(
    trained_root: Path, label_maps: Path, tmp_path: Path, run_command: Command
) -> None:
    """Synthetic scans on top of a base of real ones: a fold whose cases that base saw is refused all the same."""
    from tests.trained import copied, train_arguments

    root = copied(trained_root, tmp_path, results=False)
    assert run_command("pretrain", "Blob", "--root", root, "--steps", 1, "--name", "blob", "--device", "cpu")[0] == 0
    first = pretraining(root, "blob") / "base.safetensors"
    more = (
        "--synthetic",
        label_maps,
        "--patch",
        32,
        32,
        32,
        "--hold-out",
        1,
        "--base",
        first,
        "--steps",
        1,
        "--device",
        "cpu",
    )
    assert run_command("pretrain", "--root", root, *more, "--name", "more")[0] == 0
    second = pretraining(root, "more") / "base.safetensors"
    assert json.loads(second.with_suffix(".json").read_text())["seen_images"]
    code, _, err = run_command(*("train", *train_arguments(root, "--base", second, fold=1)))
    assert code == 1 and "was trained on" in err


def test_overwriting_leaves_nothing_to_resume(
    tmp_path: Path, label_maps: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained anew and killed before its first save, a pre-training does not go on from the run before."""
    arguments = ("pretrain", "--root", tmp_path, "--synthetic", label_maps, *SMALL, "--steps", 3)
    with signal_at(2):
        assert run_command(*arguments)[0] == 143

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hippopt.stages.pretrain.train", killed)
        assert run_command(*arguments, "--seed", 1, "--overwrite")[0] == 130
    code, _, err = run_command(*arguments, "--seed", 1, "--resume")
    assert code == 1 and "nothing to resume" in err


def test_going_on_from_a_base(tmp_path: Path, label_maps: Path, run_command: Command) -> None:
    """--base: the weights of an earlier pre-training are where the next begins."""
    arguments = (
        "pretrain",
        "--root",
        tmp_path,
        "--synthetic",
        label_maps,
        *SMALL,
        "--steps",
        1,
        "--learning-rate",
        "1e-9",
    )
    assert run_command(*arguments, "--name", "first", "--seed", 3)[0] == 0
    base = pretraining(tmp_path, "first") / "base.safetensors"
    assert run_command(*arguments, "--name", "second", "--base", base)[0] == 0
    first, second = load_file(base), load_file(pretraining(tmp_path, "second") / "base.safetensors")
    assert all(torch.allclose(first[name].float(), second[name].float(), atol=1e-3) for name in first)
    base.write_bytes(base.read_bytes()[:-1] + b"x")
    code, _, err = run_command(*arguments, "--name", "third", "--base", base)
    assert code == 1 and str(base) in err
    code, _, err = run_command(
        *arguments, "--name", "fourth", "--base", "synthetic-small"
    )  # shipped, and of another size than this one
    assert code == 1 and "synthetic-small" in err and "not found" not in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--synthetic"),
        (("--synthetic", "nowhere"), "no such folder"),
        (("--synthetic", ".", "--patch", 17, 32, 32), "multiples of 8"),
        (("--synthetic", ".", "--patch", 24, 32, 32), "multiples of the token size, 16"),
        (("--synthetic", ".", "--patch", 24, 32, 32, "--token-size", 16), "multiples of 16"),
        (("--synthetic", ".", "--token-size", 12), "8, 16"),
        (("--synthetic", ".", "--steps", 0), "above 0"),
        (("--synthetic", ".", "--size", "vast"), "tiny"),
        (("Blob", "--preview", "a.png"), "--synthetic"),
        (("--synthetic", ".", "--name", "../x"), "letters, digits"),
    ],
)
def test_wrong_calls(
    tmp_path: Path,
    label_maps: Path,
    run_command: Command,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[object, ...],
    words: str,
) -> None:
    """One line with the remedy, nothing on disk."""
    monkeypatch.chdir(label_maps)
    code, _, err = run_command("pretrain", "--root", tmp_path, "--name", "x", *arguments)
    assert code != 0 and words in err
    assert not (tmp_path / "results").exists()


def test_preview(tmp_path: Path, label_maps: Path, run_command: Command) -> None:
    picture = tmp_path / "sheet.png"
    assert run_command("pretrain", "--synthetic", label_maps, *SMALL, "--preview", picture)[0] == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def torchrun(folder: Path, *arguments: object) -> str:
    """Standard output of two processes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        *map(str, arguments),
    ]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_processes_make_one_base(tmp_path: Path, label_maps: Path) -> None:
    """Under torchrun: one process speaks and writes; steps are
    counted once; the batches are not those of one process alone.
    """
    arguments = (
        "-m",
        "hippopt.cli.pretrain",
        "--root",
        tmp_path,
        "--synthetic",
        label_maps,
        *SMALL,
        "--batch-size",
        1,
        "--steps",
        2,
    )
    out = torchrun(tmp_path, *arguments, "--name", "two")
    assert "2 processes" in out and out.count("Dice on what it has not seen") == 1
    assert json.loads((pretraining(tmp_path, "two") / "base.json").read_text())["steps"] == 2


def test_processes_average_and_agree(tmp_path: Path) -> None:
    """Gradients become their mean, the largest value is everybody's, and one that wants to stop stops all."""
    script = tmp_path / "script.py"
    script.write_text(
        "import torch\nfrom hippopt.training.processes import join_processes\ngroup = join_processes('cpu')\nweights ="
        " [torch.nn.Parameter(torch.zeros(2, 3)), torch.nn.Parameter(torch.zeros(4)),"
        " torch.nn.Parameter(torch.zeros(1))]\nweights[0].grad = torch.full((2, 3), 1.0 + 2 *"
        " group.rank)\nweights[1].grad = torch.arange(4.0) * group.rank\ngroup.average(weights)\nassert"
        " weights[0].grad.eq(2).all() and weights[1].grad.eq(torch.arange(4) / 2).all() and weights[2].grad is"
        " None\nassert group.broadcast_max(float(group.rank)) == 1 and group.agree(group.rank == 0) and not"
        " group.agree(False)\ngroup.leave()\nimport"
        " pathlib\npathlib.Path(__file__).with_name(f'{group.rank}.txt').write_text(f'sound {group.size}"
        " {group.first}')\n"
    )
    torchrun(tmp_path, script)
    # one file a process: what both print into one pipe may come out mingled
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in (0, 1)] == ["sound 2 True", "sound 2 False"]
