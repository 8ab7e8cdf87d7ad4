"""Files of tensors: round trips, hashes by content, and nothing that could run code."""

import hashlib
import pickle
from pathlib import Path

import pytest
import torch

from hippopt.errors import OutputError, WeightsError
from hippopt.networks import tensor_files
from hippopt.networks.tensor_files import (
    check_space,
    file_sha256,
    read_state,
    save_tensors,
    tensor_bytes,
    tensors_sha256,
    to_bytes,
)

HALF = torch.ones(3, dtype=torch.bfloat16)
TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3), "empty": torch.zeros(0, 2), "half": HALF}


def check_equal(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name], value)


def test_safetensors_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "weights.safetensors"
    save_tensors(path, TENSORS)
    check_equal(read_state(path), TENSORS)
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    assert file_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_views_are_saved_as_what_they_show(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    save_tensors(tmp_path / "a.safetensors", {"column": whole[:, 1], "turned": whole.T})
    check_equal(
        read_state(tmp_path / "a.safetensors"), {"column": torch.tensor([1.0, 5, 9]), "turned": whole.T.contiguous()}
    )
    (tmp_path / "b.safetensors").write_bytes(to_bytes({"one": whole, "same": whole}))
    check_equal(read_state(tmp_path / "b.safetensors"), {"one": whole, "same": whole})


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": s},
        lambda s: {"net": {f"module.{k}": v for k, v in s.items()}},
    ],
)
def test_torch_files_however_wrapped(wrap: object, tmp_path: Path) -> None:
    torch.save(wrap(TENSORS), tmp_path / "base.pt")  # type: ignore[operator]
    check_equal(read_state(tmp_path / "base.pt"), TENSORS)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (open, ("trap", "w"))


def test_objects_are_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Trap()}, tmp_path / "base.pt")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Trap()))
    for name in ("base.pt", "plain.pth"):
        with pytest.raises(WeightsError, match=name):
            read_state(tmp_path / name)
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    ("name", "content"), [("a.safetensors", b"12"), ("a.safetensors", b""), ("a.pt", b"PK\x03\x04 cut"), ("a.pt", b"")]
)
def test_damaged_files_are_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match="damaged or not a weights file"):
        read_state(tmp_path / name)


def test_files_without_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not found"):
        read_state(tmp_path / "none.pt")
    for number, data in enumerate(({}, {"epoch": 3}, [torch.zeros(2)])):
        torch.save(data, tmp_path / f"{number}.pt")
        with pytest.raises(WeightsError, match="no state dict"):
            read_state(tmp_path / f"{number}.pt")


def test_hashes_are_of_content() -> None:
    one = tensors_sha256(TENSORS)
    assert one == tensors_sha256(dict(reversed(TENSORS.items())))
    assert one == tensors_sha256({name: value.clone() for name, value in TENSORS.items()})
    for change in (
        {"b": torch.tensor(4)},
        {"b": torch.tensor(3, dtype=torch.int32)},
        {"a.weight": torch.arange(6.0).reshape(3, 2)},
        {"c": torch.tensor(3)},
        {"empty": torch.zeros(2, 0)},
    ):
        assert tensors_sha256({**TENSORS, **change}) != one
    turned = torch.arange(6.0).reshape(3, 2).T  # equal values, laid out otherwise
    assert tensors_sha256({"a": turned}) == tensors_sha256({"a": turned.contiguous()})


def test_space_is_looked_for_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tensor_bytes(TENSORS) == 6 * 4 + 8 + 0 + 3 * 2
    check_space(tmp_path / "not" / "there" / "yet", 1)
    monkeypatch.setattr(
        tensor_files.shutil, "disk_usage", lambda _: type("usage", (), {"free": tensor_bytes(TENSORS) - 1})
    )
    with pytest.raises(OutputError, match="free space"):
        save_tensors(tmp_path / "a.safetensors", TENSORS)
    assert list(tmp_path.iterdir()) == []
