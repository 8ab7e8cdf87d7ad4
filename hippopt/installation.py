"""Look at what hippopt stands on: versions, commands, device, cores and memory, folders, shipped bases and models,
optional libraries.
"""

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from hippopt import __version__
from hippopt.artifacts.writable_folder import check_writable
from hippopt.errors import HippoptError
from hippopt.machine import core_count, machine_bytes, threads_asked
from hippopt.workspace import Workspace

LITTLE_MEMORY_BYTES = 4e9  # the small network trains in about 2 GB, beside 0.8 of libraries
LITTLE_SPACE_BYTES = 1e9
OPTIONAL = {"peft": "the methods lora, dora, pissa and adalora need it: pip install 'hippopt[peft]'"}


@dataclass(frozen=True)
class Finding:
    """What was looked at and found, and what is wrong with it, with the remedy; empty where nothing is."""

    what: str
    found: str
    wrong: str = ""


def examine(workspace: Workspace) -> list[Finding]:
    """Look at everything that commands need before they begin.

    Nothing is changed, and no fault of one thing hides another.
    """
    looks: list[Callable[[], list[Finding]]] = [
        _versions,
        _commands,
        _device,
        _machine,
        lambda: _folders(workspace),
        _bases,
        _models,
        _optional,
    ]
    found: list[Finding] = []
    for look in looks:
        try:
            found += look()
        except Exception as error:
            lines = str(error).strip().splitlines()
            found.append(
                Finding(
                    look.__name__.strip("_"),
                    "cannot be looked at",
                    f"{type(error).__name__}: {lines[0] if lines else ''}",
                )
            )
    return found


def _versions() -> list[Finding]:
    found = [Finding("hippopt", __version__), Finding("python", platform.python_version())]
    for requirement in _required():
        try:
            found.append(Finding(requirement, version(requirement)))
        except PackageNotFoundError:
            found.append(
                Finding(requirement, "missing", f"{requirement} is not installed; install hippopt again with pip")
            )
    return found


def _commands() -> list[Finding]:
    """Commands that this hippopt has, and an installation from before them has not: pip makes them, git does not."""
    try:
        made = {point.name for point in distribution("hippopt").entry_points}
    except PackageNotFoundError:  # run from a checkout that was not installed
        return [Finding("commands", "not installed; python -m hippopt.cli.COMMAND runs them")]
    missing = sorted(own_commands() - made)
    return [
        Finding(
            "commands",
            f"{len(made)} installed",
            f"{', '.join(missing)}: newer than the installation; install hippopt again with pip" if missing else "",
        )
    ]


def own_commands() -> set[str]:
    """The commands of this hippopt, by what the modules of `hippopt.cli` begin with."""
    begun = [path.read_text().splitlines()[0] for path in Path(str(files("hippopt") / "cli")).glob("*.py")]
    return {line.strip('"').partition(":")[0] for line in begun if line.startswith('"""hippopt_')}


def _required() -> list[str]:
    """Names of the packages that hippopt cannot do without."""
    try:
        listed = requires("hippopt") or []
    except PackageNotFoundError:  # run from a checkout that was not installed
        return []
    return [
        line.partition(">")[0].partition("=")[0].partition("[")[0].strip() for line in listed if "extra ==" not in line
    ]


def _device() -> list[Finding]:
    import torch

    from hippopt.networks.device import bfloat16_pays, choose_device

    device, note = choose_device("auto")
    (
        torch.ones(8, 8, device=device) @ torch.ones(8, 8, device=device)
    ).sum().item()  # a driver that does not fit fails here
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    return [
        Finding(
            "device", f"trains {note}{threads}, in {'bfloat16 where it pays' if bfloat16_pays(device) else 'float32'}"
        )
    ]


def _machine() -> list[Finding]:
    memory, cores = machine_bytes(), core_count()
    asked = f", {threads_asked()} threads a process as OMP_NUM_THREADS says" if threads_asked() else ""
    wrong = (
        "little: plan with a small batch_size, train with --jobs 1, or ask for more"
        if memory < LITTLE_MEMORY_BYTES
        else ""
    )
    return [
        Finding("cores", f"{cores} that this process may use{asked}"),
        Finding("memory", f"{memory / 1e9:.1f} GB that this process may use", wrong),
    ]


def _folders(workspace: Workspace) -> list[Finding]:
    found = []
    for folder in (
        workspace.root,
        workspace.raw_data,
        workspace.root / "plans",
        workspace.root / "preprocessed",
        workspace.root / "results",
    ):
        there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
        free = shutil.disk_usage(there).free
        words = f"{'there' if folder.exists() else 'not made yet'}, {free / 1e9:.1f} GB free"
        wrong = "little space: free some, or choose another --root" if free < LITTLE_SPACE_BYTES else ""
        try:
            check_writable(folder)
        except HippoptError as error:
            wrong = str(error)
        found.append(Finding(str(folder), words, wrong))
    return found


def _bases() -> list[Finding]:
    from hippopt.networks.base_files import read_base, shipped_bases

    found = [_base(path, read_base) for path in shipped_bases()]
    return found or [Finding("shipped bases", "none", "the installation is not whole; install hippopt again")]


def _base(path: Path, read: Callable[[Path], object]) -> Finding:
    try:
        read(path)
    except HippoptError as error:
        return Finding(f"base {path.stem}", "damaged", f"{error}; install hippopt again")
    return Finding(f"base {path.stem}", "whole, by its checksum")


def _models() -> list[Finding]:
    from hippopt.networks.tensor_files import file_sha256
    from hippopt.recipes.ready_models import model_card, shipped_models

    found = []
    for path in shipped_models():
        whole = file_sha256(path) == model_card(path).sha256
        wrong = "" if whole else f"{path}: not the file that its card names; install hippopt again"
        found.append(Finding(f"model {path.stem}", "whole, by its checksum" if whole else "damaged", wrong))
    return found or [Finding("shipped models", "none", "the installation is not whole; install hippopt again")]


def _optional() -> list[Finding]:
    return [
        Finding(name, "installed" if find_spec(name) else f"not installed ({use})") for name, use in OPTIONAL.items()
    ]
