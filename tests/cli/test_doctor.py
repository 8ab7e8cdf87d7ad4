"""hippopt_doctor says what is wrong and leaves 1; --debug shows where an error came from."""

import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from hippopt import installation
from hippopt.recipes import ready_models
from hippopt.workspace import Workspace
from tests.synthetic import Command, open_folder, without_privileges


@pytest.fixture(autouse=True)
def whole_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if pip had just installed this code, however old the environment is."""
    made = [SimpleNamespace(name=name) for name in installation.own_commands()]
    monkeypatch.setattr(installation, "distribution", lambda _: SimpleNamespace(entry_points=made))


def damaged_copy(path: Path, folder: Path) -> Path:
    """A file that ships, with other last bytes, beside its card as it is."""
    (folder / path.name).write_bytes(path.read_bytes()[:-8] + b"damaged!")
    (folder / path.with_suffix(".json").name).write_bytes(path.with_suffix(".json").read_bytes())
    return folder / path.name


def test_a_sound_machine(tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "machine_bytes", lambda: 16e9)
    monkeypatch.setattr(installation, "LITTLE_SPACE_BYTES", 0)
    code, out, err = run_command("doctor", "--root", tmp_path)
    assert code == 0 and not err, err
    for words in (
        "torch: ",
        "device: trains on",
        "cores: ",
        "memory: 16.0 GB",
        "base synthetic-small: whole",
        "base synthetic-small-5: whole",
        "model whole-head: whole",
        "peft: ",
        "nothing is wrong",
    ):
        assert words in out
    assert not list(tmp_path.iterdir())


def test_commands_that_are_newer_than_the_installation_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["scripts"]
    assert installation.own_commands() == set(scripts)
    older = [SimpleNamespace(name=name) for name in scripts if name not in ("hippopt_best", "hippopt_models")]
    monkeypatch.setattr(installation, "distribution", lambda _: SimpleNamespace(entry_points=older))
    [found] = installation._commands()
    assert found.wrong.startswith("hippopt_best, hippopt_models: newer than the installation")


def test_a_damaged_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = damaged_copy(ready_models.shipped_models()[-1], tmp_path)
    monkeypatch.setattr(ready_models, "shipped_models", lambda: [damaged])
    [found] = installation._models()
    assert found.found == "damaged" and "install hippopt again" in found.wrong


def test_little_memory_and_little_space(tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "machine_bytes", lambda: 1e9)
    monkeypatch.setattr(installation, "LITTLE_SPACE_BYTES", 1e18)
    code, out, err = run_command("doctor", "--root", tmp_path)
    assert code == 1 and "warning: memory: little" in err and "little space" in err and "to mend: memory" in out


def test_a_folder_that_cannot_be_written() -> None:
    with open_folder() as folder, without_privileges():
        found = installation._folders(Workspace(folder))
    assert all("cannot be written" in each.wrong for each in found)


def test_a_damaged_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hippopt.networks import base_files

    damaged = damaged_copy(base_files.shipped_bases()[-1], tmp_path)
    monkeypatch.setattr(base_files, "shipped_bases", lambda: [damaged])
    [found] = installation._bases()
    assert "sha256" in found.wrong


def test_a_check_that_fails_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> list[installation.Finding]:
        raise RuntimeError("a driver that does not fit")

    monkeypatch.setattr(installation, "_device", fail)
    found = installation.examine(Workspace(tmp_path))
    assert any("a driver that does not fit" in each.wrong for each in found)
    assert any(each.what == "memory" for each in found)


@pytest.mark.parametrize("debug", [False, True])
def test_debug_shows_where_an_error_came_from(tmp_path: Path, run_command: Command, debug: bool) -> None:
    code, _, err = run_command("plan", "Nothing", "--root", tmp_path, *(["--debug"] if debug else []))
    assert code == 2 and ("Traceback" in err) == debug
    assert err.strip().splitlines()[-1].startswith("hippopt_plan: ")
