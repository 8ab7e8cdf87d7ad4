"""A model file that is hostile, damaged, or would replace a model is refused before anything is written."""

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import pickle
import shutil
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from hippopt.artifacts.this_host import this_host
from hippopt.workspace import Workspace
from tests.synthetic import Command
from tests.trained import DATASET, LORA, assert_stopped, contents, copied, run_path

ADAPTER = "run/fold_0/adapter.safetensors"


@dataclasses.dataclass
class Entry:
    """A member as it is written; `mode` as in a Unix file's type and permissions."""

    data: bytes
    mode: int = stat.S_IFREG | 0o644
    packed: int = zipfile.ZIP_STORED


Entries = list[tuple[str, Entry]]


@pytest.fixture(scope="module")
def whole(lora_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound model file."""
    from hippopt.cli import export

    path = tmp_path_factory.mktemp("model") / "model.zip"
    assert export.main(["Blob", str(path), "--root", str(lora_root), "--run", LORA]) == 0
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty workspace, with a file beside it that nothing may touch."""
    (tmp_path / "root").mkdir()
    (tmp_path / "outside.txt").write_text("mine")
    return tmp_path / "root"


def entries_of(path: Path) -> Entries:
    with zipfile.ZipFile(path) as archive:
        return [(name, Entry(archive.read(name))) for name in archive.namelist()]


def write_zip(path: Path, entries: Entries) -> Path:
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that occur twice
        for name, entry in entries:
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name  # as it is, whatever it holds
            info.external_attr, info.compress_type = entry.mode << 16, entry.packed
            archive.writestr(info, entry.data)
    return path


def listed(entries: Entries, **manifest: Any) -> Entries:
    """The entries with a manifest that tells the truth about them, but for what is given."""
    rest = [(name, entry) for name, entry in entries if name != "manifest.json"]
    data = json.loads(next(entry.data for name, entry in entries if name == "manifest.json"))
    data["members"] = [{"name": n, "size": len(e.data), "sha256": hashlib.sha256(e.data).hexdigest()} for n, e in rest]
    return [*rest, ("manifest.json", Entry(json.dumps(data | manifest).encode()))]


def replaced(entries: Entries, name: str, data: bytes) -> Entries:
    assert name in dict(entries)
    return [(key, Entry(data) if key == name else entry) for key, entry in entries]


def refused(run_command: Command, root: Path, file: Path, *words: object, more: tuple[object, ...] = ()) -> None:
    """Installing stops with the words, and writes nothing anywhere near."""
    before = contents(root.parent)
    assert_stopped(run_command("install", file, "--root", root, *more), file, *words)
    assert contents(root.parent) == before and not list(root.iterdir())


def test_row_59_the_file_that_the_others_are_made_of_is_sound(
    whole: Path, root: Path, tmp_path: Path, run_command: Command
) -> None:
    code, _, err = run_command("install", write_zip(tmp_path / "same.zip", listed(entries_of(whole))), "--root", root)
    assert code == 0, err
    deflated = [(name, dataclasses.replace(entry, packed=zipfile.ZIP_DEFLATED)) for name, entry in entries_of(whole)]
    code, _, err = run_command(
        "install", write_zip(tmp_path / "deflated.zip", deflated), "--root", root, "--name", "deflated"
    )
    assert code == 0, err


@pytest.mark.parametrize(
    "name",
    [
        "../outside.txt",
        "../../outside.txt",
        "run/../../outside.txt",
        "run/fold_0/../../../outside.txt",
        "/tmp/hippopt_outside.txt",
        "C:/outside.txt",
        "run\\..\\..\\outside.txt",
        "run/plan.json\0.txt",
    ],
)
@pytest.mark.parametrize("honest", [True, False])
def test_row_59_names_that_lead_elsewhere_are_refused(
    whole: Path, root: Path, tmp_path: Path, run_command: Command, name: str, honest: bool
) -> None:
    entries = [*entries_of(whole), (name, Entry(b"theirs"))]
    if honest:
        entries = listed(entries)
    refused(run_command, root, write_zip(tmp_path / "slip.zip", entries), "would be written elsewhere")
    assert not Path("/tmp/hippopt_outside.txt").exists()


@pytest.mark.parametrize(
    "mode", [stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o644, stat.S_IFCHR | 0o644, stat.S_IFDIR | 0o755]
)
@pytest.mark.parametrize("name", [ADAPTER, "run/fold_9/adapter.json"])
def test_row_59_links_and_special_files_are_refused(
    whole: Path, root: Path, tmp_path: Path, run_command: Command, mode: int, name: str
) -> None:
    entries = [(key, entry) for key, entry in entries_of(whole) if key != name]
    path = write_zip(tmp_path / "link.zip", listed([*entries, (name, Entry(b"/etc/passwd", mode))]))
    refused(run_command, root, path, "link" if stat.S_ISLNK(mode) else "special file", name)


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "run/evil.py",
        "run/fold_0/adapter.pkl",
        "run/",
        "run/fold_x/adapter.json",
        "run/validation/a.nii.gz",
    ],
)
def test_row_59_unknown_members_are_refused(
    whole: Path, root: Path, tmp_path: Path, run_command: Command, name: str
) -> None:
    refused(
        run_command,
        root,
        write_zip(tmp_path / "more.zip", listed([*entries_of(whole), (name, Entry(b""))])),
        name,
        "belongs to no model",
    )


def test_row_59_members_of_no_fold_of_the_model_are_refused(
    whole: Path, root: Path, tmp_path: Path, run_command: Command
) -> None:
    entries = listed([*entries_of(whole), ("run/fold_7/adapter.json", Entry(b"{}"))])
    refused(run_command, root, write_zip(tmp_path / "more.zip", entries), "run/fold_7/adapter.json", "does not belong")
    silent = [*entries_of(whole), ("run/fold_7/adapter.json", Entry(b"{}"))]
    refused(
        run_command,
        root,
        write_zip(tmp_path / "silent.zip", silent),
        "manifest does not list",
        "run/fold_7/adapter.json",
    )


def test_row_59_a_name_that_occurs_twice_is_refused(
    whole: Path, root: Path, tmp_path: Path, run_command: Command
) -> None:
    entries = entries_of(whole)
    refused(
        run_command,
        root,
        write_zip(tmp_path / "twice.zip", [*entries, (ADAPTER, Entry(b"second"))]),
        ADAPTER,
        "occurs twice",
    )


def test_row_59_a_zip_bomb_is_refused_without_unpacking(
    whole: Path, root: Path, tmp_path: Path, run_command: Command
) -> None:
    bomb = Entry(bytes(200_000_000), packed=zipfile.ZIP_DEFLATED)
    entries = listed(
        [(name, bomb if name == "base/weights.safetensors" else entry) for name, entry in entries_of(whole)]
    )
    path = write_zip(tmp_path / "bomb.zip", entries)
    assert path.stat().st_size < 20_000_000
    refused(run_command, root, path, "zip bomb", "20")


def test_row_59_a_member_that_unpacks_to_more_than_declared_is_refused(
    whole: Path, root: Path, tmp_path: Path, run_command: Command
) -> None:
    entries = listed(
        [(name, dataclasses.replace(entry, packed=zipfile.ZIP_DEFLATED)) for name, entry in entries_of(whole)]
    )
    path = write_zip(tmp_path / "liar.zip", entries)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")  # the directory's first entry: its unpacked size stands 24 bytes on
    struct.pack_into("<L", data, at + 24, 10)
    path.write_bytes(data)
    refused(run_command, root, path, "has 10 bytes, its manifest says")
    members = json.loads(dict(entries)["manifest.json"].data)["members"]
    lying = [{**member, "size": 10} if member["name"] == entries[0][0] else member for member in members]
    path = write_zip(tmp_path / "both.zip", listed(entries, members=lying))
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, data.index(b"PK\x01\x02") + 24, 10)
    path.write_bytes(data)
    refused(run_command, root, path, "damaged")


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_row_59_a_truncated_file_is_refused(
    whole: Path, root: Path, tmp_path: Path, run_command: Command, keep: float
) -> None:
    data = whole.read_bytes()
    path = tmp_path / "cut.zip"
    path.write_bytes(data[: int(len(data) * keep) if 0 < keep < 1 else int(keep)])
    refused(run_command, root, path, "damaged or cut short" if keep not in (0, 1) else "not a zip")


@pytest.mark.parametrize("data", [b"", b"no zip at all\n", b"PK\x03\x04 only its first bytes", pickle.dumps({"a": 1})])
def test_row_59_what_is_no_zip_is_refused(root: Path, tmp_path: Path, run_command: Command, data: bytes) -> None:
    path = tmp_path / "model.zip"
    path.write_bytes(data)
    refused(
        run_command, root, path, "damaged or cut short" if data.startswith(b"PK") else "not a zip", "hippopt_export"
    )


def test_row_59_missing_files_folders_and_other_zips_are_refused(
    root: Path, tmp_path: Path, run_command: Command
) -> None:
    refused(run_command, root, tmp_path / "absent.zip", "not found")
    refused(run_command, root, tmp_path, "not a file")
    refused(run_command, root, write_zip(tmp_path / "empty.zip", []), "no manifest.json")
    torch.save({"a": torch.zeros(3)}, tmp_path / "weights.pt")  # a zip with a pickle in it
    refused(run_command, root, tmp_path / "weights.pt", "belongs to no model")


@pytest.mark.parametrize("position", ["weights", "directory"])
def test_row_59_a_bit_that_flipped_is_found(
    whole: Path, root: Path, tmp_path: Path, run_command: Command, position: str
) -> None:
    data = bytearray(whole.read_bytes())
    data[len(data) // 3 if position == "weights" else data.index(b"PK\x01\x02") + 17] ^= 1
    path = tmp_path / "flipped.zip"
    path.write_bytes(data)
    refused(run_command, root, path, "damaged")


@pytest.mark.parametrize(
    "name", [ADAPTER, "base/weights.safetensors", "run/initial.safetensors", "run/plan.json", "run/fold_1/adapter.json"]
)
def test_row_59_a_member_whose_hash_differs_is_refused(
    whole: Path, root: Path, tmp_path: Path, run_command: Command, name: str
) -> None:
    data = bytearray(dict(entries_of(whole))[name].data)
    data[-3] ^= 1
    path = write_zip(tmp_path / "other.zip", replaced(entries_of(whole), name, bytes(data)))
    refused(run_command, root, path, name, "not what its manifest names")


def changed_tensors(edit: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        tensors = load(data)
        edit(tensors)
        return save(tensors)

    return change


def changed_json(edit: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        record = json.loads(data)
        edit(record)
        return json.dumps(record).encode()

    return change


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (ADAPTER, changed_tensors(lambda t: t.pop("rest.out.conv.conv.bias")), "does not match its card"),
        (ADAPTER, changed_tensors(lambda t: t["rest.out.conv.conv.bias"].add_(1)), "does not match its card"),
        (ADAPTER, lambda data: pickle.dumps({"a": 1}), "damaged or not a weights file"),
        (ADAPTER, lambda data: data[:50], "damaged or not a weights file"),
        ("run/fold_0/adapter.json", lambda data: b"{", "malformed JSON"),
        ("run/fold_0/adapter.json", changed_json(lambda r: r.update(stray=1)), "stray"),
        (
            "run/fold_1/adapter.json",
            changed_json(lambda r: r.update(plan_hash="0" * 64)),
            "plan is not that of the model",
        ),
        (
            "run/fold_1/adapter.json",
            changed_json(lambda r: r.update(base_sha256="0" * 64)),
            "plan is not that of the model",
        ),
        ("run/fold_1/adapter.json", changed_json(lambda r: r.update(initial_sha256="0" * 64)), "other initial factors"),
        (
            "run/fold_1/adapter.json",
            changed_json(lambda r: r.update(remade=["out.conv.conv.bias"])),
            "its remade is not that of fold 0",
        ),
        ("run/plan.json", changed_json(lambda r: r.update(batch_size=0)), "batch_size"),
        ("run/plan.json", changed_json(lambda r: r.update(dataset="Dataset001_Other")), "is for Dataset001_Other"),
        ("run/plan.json", changed_json(lambda r: r.update(seed=77)), "plan is not that of the model"),
        ("run/contrast.json", lambda data: b"[1, 2]", "contrast.json"),
        ("run/initial.safetensors", changed_tensors(lambda t: t.pop("attention.u")), "damaged"),
        ("base/card.json", changed_json(lambda r: r.update(sha256="0" * 64)), "not the card of the base"),
        (
            "base/weights.safetensors",
            changed_tensors(lambda t: t["vit.norm.bias"].add_(1)),
            "not the base that the manifest names",
        ),
        ("manifest.json", changed_json(lambda r: r.update(dataset="Dataset001_../../x")), "no names of a data set"),
        ("manifest.json", changed_json(lambda r: r.update(run="../../x")), "no names of a data set"),
        ("manifest.json", changed_json(lambda r: r.update(folds=["fold_0"])), "does not belong"),
        (
            "manifest.json",
            changed_json(lambda r: r.update(folds=["fold_0", "fold_1", "fold_2"])),
            "run/fold_2/adapter.json is missing",
        ),
        ("manifest.json", changed_json(lambda r: r.update(method="full")), "run/initial.safetensors"),
        ("manifest.json", changed_json(lambda r: r.update(schema=9)), "schema 9"),
        ("manifest.json", changed_json(lambda r: r.update(code="import os")), "code"),
    ],
)
def test_row_59_parts_that_do_not_fit_are_refused(
    whole: Path,
    root: Path,
    tmp_path: Path,
    run_command: Command,
    name: str,
    change: Callable[[bytes], bytes],
    words: str,
) -> None:
    entries = replaced(entries_of(whole), name, change(dict(entries_of(whole))[name].data))
    path = write_zip(tmp_path / "unfit.zip", entries if name == "manifest.json" else listed(entries))
    refused(run_command, root, path, words)


@pytest.mark.parametrize(
    "name", [ADAPTER, "run/plan.json", "base/card.json", "run/initial.safetensors", "base/weights.safetensors"]
)
def test_row_59_incomplete_models_are_refused(
    whole: Path, root: Path, tmp_path: Path, run_command: Command, name: str
) -> None:
    entries = listed([(key, entry) for key, entry in entries_of(whole) if key != name])
    refused(run_command, root, write_zip(tmp_path / "part.zip", entries), "incomplete", name)


def test_row_59_an_existing_model_is_not_replaced_unasked(whole: Path, root: Path, run_command: Command) -> None:
    assert run_command("install", whole, "--root", root)[0] == 0
    before = contents(root)
    assert_stopped(
        run_command("install", whole, "--root", root), run_path(root, LORA), "is there already", "--name", "--overwrite"
    )
    assert contents(root) == before
    assert run_command("install", whole, "--root", root, "--name", "second")[0] == 0
    assert contents(run_path(root, LORA)) == contents(run_path(root, "second"))
    (run_path(root, LORA) / "fold_1" / "adapter.safetensors").write_bytes(b"damaged")
    code, _, err = run_command("install", whole, "--root", root, "--overwrite")
    assert code == 0, err
    assert {name: value for name, value in contents(root).items() if "second" not in name} == before


def test_row_59_what_a_killed_install_left_is_no_run_and_goes(whole: Path, root: Path, run_command: Command) -> None:
    assert run_command("install", whole, "--root", root)[0] == 0
    left = root / "results" / DATASET / f".building.999999999.{this_host()}.second"
    shutil.copytree(run_path(root, LORA), left)
    assert Workspace(root).runs(DATASET) == [LORA]
    assert run_command("install", whole, "--root", root, "--name", "third")[0] == 0
    assert Workspace(root).runs(DATASET) == [LORA, "third"] and not left.exists()


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_row_59_a_run_that_was_trained_here_is_never_replaced(
    lora_root: Path, whole: Path, tmp_path: Path, run_command: Command, more: list[str]
) -> None:
    root = copied(lora_root, tmp_path)
    before = contents(root)
    words = ["would be lost", "--name"] if more else ["is there already"]
    assert_stopped(run_command("install", whole, "--root", root, *more), run_path(root, LORA), *words)
    assert contents(root) == before


def test_row_59_a_fold_trained_into_an_installed_model_is_kept(whole: Path, root: Path, run_command: Command) -> None:
    assert run_command("install", whole, "--root", root)[0] == 0
    (run_path(root, LORA) / "fold_2").mkdir()
    (run_path(root, LORA) / "fold_2" / "resume.safetensors").write_bytes(b"hours of work")
    before = contents(root)
    assert_stopped(
        run_command("install", whole, "--root", root, "--overwrite"), "fold_2/resume.safetensors", "would be lost"
    )
    assert contents(root) == before


@pytest.mark.parametrize("name", ["../mine", "a/b", "", ".hidden", "a.b", "a b"])
def test_row_59_names_of_runs_that_are_paths_are_refused(
    whole: Path, root: Path, run_command: Command, name: str
) -> None:
    assert_stopped(run_command("install", whole, "--root", root, "--name", name), "--name", code=2)
    assert contents(root) == {}


def test_row_59_an_existing_export_is_not_replaced_unasked(
    lora_root: Path, whole: Path, tmp_path: Path, run_command: Command
) -> None:
    file = tmp_path / "model.zip"
    file.write_text("mine")
    arguments = ["export", "Blob", file, "--root", lora_root, "--run", LORA]
    assert_stopped(run_command(*arguments), file, "is there already", "--overwrite")
    assert file.read_text() == "mine"
    assert_stopped(
        run_command("export", "Blob", tmp_path, "--root", lora_root, "--run", LORA, "--overwrite"), tmp_path, "a folder"
    )
    assert run_command(*arguments, "--overwrite")[0] == 0
    assert file.read_bytes() == whole.read_bytes()


@contextlib.contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch, told: bool) -> Iterator[None]:
    """A disk without room; with `told` it says so when asked, else writing fails."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if told:
            patch.setattr(
                "hippopt.networks.tensor_files.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})
            )
        else:
            patch.setattr(os, "fsync", full)
        yield


@pytest.mark.parametrize("told", [True, False])
def test_row_59_a_full_disk_leaves_no_half_model(
    lora_root: Path,
    whole: Path,
    root: Path,
    tmp_path: Path,
    run_command: Command,
    monkeypatch: pytest.MonkeyPatch,
    told: bool,
) -> None:
    file = tmp_path / "model.zip"
    file.write_text("mine")
    with full_disk(monkeypatch, told):
        assert_stopped(
            run_command("export", "Blob", file, "--root", lora_root, "--run", LORA, "--overwrite"), file, "free"
        )
        assert_stopped(run_command("install", whole, "--root", root), "free")
    assert file.read_text() == "mine" and sorted(path.name for path in tmp_path.iterdir()) == [
        "model.zip",
        "outside.txt",
        "root",
    ]
    assert contents(root) == {}
    assert run_command("install", whole, "--root", root)[0] == 0


def test_row_59_a_disk_that_runs_full_late_keeps_the_old_model(
    whole: Path, root: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_command("install", whole, "--root", root)[0] == 0
    before, left, sync = contents(root), [4], os.fsync

    def full(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert_stopped(run_command("install", whole, "--root", root, "--overwrite"), "free")
    assert contents(root) == before
    assert [path.name for path in (root / "results" / DATASET).iterdir()] == [LORA]
