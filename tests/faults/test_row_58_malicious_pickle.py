"""A file whose unpickling would run code is refused, and the code does not run."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.synthetic import Command
from tests.trained import DATASET, assert_stopped, contents, copied, train_arguments


class Trap:
    """Creates a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


WRITERS: dict[str, Callable[[Any, Path], None]] = {
    "torch": lambda data, path: torch.save(data, path),
    "old torch": lambda data, path: torch.save(data, path, _use_new_zipfile_serialization=False),
    "plain": lambda data, path: path.write_bytes(pickle.dumps(data)) and None,
    "oldest": lambda data, path: path.write_bytes(pickle.dumps(data, protocol=0)) and None,
}


@pytest.mark.parametrize("suffix", [".pt", ".bin", ".safetensors"])
@pytest.mark.parametrize("writer", WRITERS)
def test_row_58_a_pickle_that_would_run_code_is_refused(
    trained_root: Path, tmp_path: Path, run_command: Command, writer: str, suffix: str
) -> None:
    sprung, base = tmp_path / "sprung", tmp_path / f"base{suffix}"
    WRITERS[writer]({"vit.norm.weight": torch.zeros(2), "extra": Trap(sprung)}, base)
    before = contents(trained_root)
    outcome = run_command("train", *train_arguments(trained_root, "--base", base, method="decoder"))
    assert_stopped(outcome, base, "damaged" if suffix == ".safetensors" else "refused")
    assert not sprung.exists() and contents(trained_root) == before
    with base.open("rb") as stream:  # the trap is a real one
        if writer in ("plain", "oldest"):
            pickle.load(stream)["extra"].close()
        elif suffix != ".safetensors":
            torch.load(base, weights_only=False)["extra"].close()
    assert sprung.exists() or suffix == ".safetensors"


@pytest.mark.parametrize("place", ["optimizer", "best_acc", "epoch"])
def test_row_58_code_beside_the_weights_of_a_checkpoint_is_refused(
    trained_root: Path, tmp_path: Path, run_command: Command, place: str
) -> None:
    sprung, base = tmp_path / "sprung", tmp_path / "model_best.pt"
    torch.save(
        {"state_dict": {"module.vit.norm.weight": torch.zeros(2)}, "best_acc": np.float64(0.9), place: Trap(sprung)},
        base,
    )
    before = contents(trained_root)
    assert_stopped(
        run_command("train", *train_arguments(trained_root, "--base", base, method="decoder")),
        base,
        "refused",
        "Python objects",
    )
    assert not sprung.exists() and contents(trained_root) == before


def test_row_58_numpy_objects_are_no_way_in(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    base = tmp_path / "model_best.pt"
    torch.save(
        {
            "state_dict": {"vit.norm.weight": torch.zeros(2)},
            "history": np.array([Trap(tmp_path / "sprung")], dtype=object),
        },
        base,
    )
    assert_stopped(
        run_command("train", *train_arguments(trained_root, "--base", base, method="decoder")), base, "refused"
    )
    assert not (tmp_path / "sprung").exists()


def test_row_58_a_pickle_inside_a_preprocessed_array_is_refused(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root, sprung = copied(trained_root, tmp_path, results=False), tmp_path / "sprung"
    path = root / "preprocessed" / DATASET / "case_001.npy"
    np.save(path, np.array([Trap(sprung)], dtype=object), allow_pickle=True)
    assert_stopped(run_command("train", *train_arguments(root)), path, "damaged")
    assert not sprung.exists()
