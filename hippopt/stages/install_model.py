"""Stage: unpack a model file into the workspace. Everything in it is checked before anything is written."""

from pathlib import PurePosixPath

from hippopt.artifacts.codec import canonical_json, load_record, write_bytes
from hippopt.artifacts.model_file import BASE_CARD, BASE_WEIGHTS, RUN, RUN_NAME, ModelManifest
from hippopt.artifacts.whole_folder import whole_folder
from hippopt.console import Console
from hippopt.errors import OutputError, UsageError
from hippopt.networks.model_archive import ModelFile, Tensors, check_contents, check_hashes, write_member
from hippopt.networks.tensor_files import check_space, file_sha256
from hippopt.workspace import Workspace


def check_place(workspace: Workspace, dataset: str, run: str, overwrite: bool) -> None:
    """Raises UsageError for a name that is none, OutputError where a run is there that may not be replaced."""
    if not RUN_NAME.fullmatch(run):
        raise UsageError(f"--name {run!r}: letters, digits, - and _ only")
    folder = workspace.run(dataset, run)
    if not folder.exists():
        return
    if not overwrite:
        raise OutputError(
            f"{folder}: a run of this name is there already; give another with --name, or replace it with --overwrite"
        )
    # what was installed can be installed again; what was trained here cannot be had back
    manifest = workspace.installed_manifest(dataset, run)
    known = {manifest}
    if manifest.is_file():
        known |= {
            folder / member.name.removeprefix(RUN)
            for member in load_record(manifest, ModelManifest, "hippopt_install").members
        }
    own = sorted(path for path in folder.rglob("*") if not path.is_dir() and path not in known)
    if own or not manifest.is_file():
        raise OutputError(
            f"{folder}: holds what no model file brought"
            f" ({own[0].relative_to(folder) if own else 'a folder of your own'}), and it would be lost; install under"
            " another --name, or move that folder away"
        )


def install_model(
    model: ModelFile,
    workspace: Workspace,
    run: str,
    overwrite: bool,
    outside: Tensors | None,
    outside_bytes: bytes | None,
    console: Console,
) -> None:
    """Check a whole model file, then write its base and its run.

    After an error the workspace holds what it held before, and at most a base that is whole.

    Args:
        model: the open file.
        workspace: where base and run go.
        run: the name that the run gets.
        overwrite: replace a run of this name that was installed too.
        outside: tensors and card of the base where it is not in the file.
        outside_bytes: that base as a file, where it is to be kept.
        console: shows bars, and what happens to the base.

    Raises:
        UsageError: the name is none.
        WeightsError: the file is damaged, or its parts do not belong together.
        PlanError: the manifest of the run that is to be replaced cannot be read.
        OutputError: a run of this name is there and may not be replaced, or nothing can be written.
    """
    manifest, archive = model.manifest, model.archive
    check_place(workspace, manifest.dataset, run, overwrite)
    folder = workspace.run(manifest.dataset, run)
    check_space(folder, sum(archive.sizes.values()) + len(outside_bytes or b""))
    check_hashes(model, console)
    check_contents(model, outside, console)
    if manifest.base is not None:
        _write_base(model, workspace, outside_bytes, console)
    with whole_folder(folder, overwrite) as building:
        for member in manifest.members:
            if member.name.startswith(RUN):
                write_member(model, member.name, building / PurePosixPath(member.name.removeprefix(RUN)))
        write_bytes(building / workspace.installed_manifest(manifest.dataset, run).name, canonical_json(manifest))
        check_place(workspace, manifest.dataset, run, overwrite)  # a training may have begun there meanwhile


def _write_base(model: ModelFile, workspace: Workspace, outside_bytes: bytes | None, console: Console) -> None:
    entry = model.manifest.base
    assert entry is not None
    target = workspace.base(entry.sha256)
    whole = target.is_file() and file_sha256(target) == entry.sha256
    if target.is_file() and not whole:
        console.warn(f"{target}: was damaged, and is replaced by the base of this name and sha256")
    if not whole and entry.included:
        write_member(model, BASE_WEIGHTS, target)
    elif not whole and outside_bytes is not None:
        write_bytes(target, outside_bytes)
    if target.is_file() and not target.with_suffix(".json").is_file():
        write_bytes(target.with_suffix(".json"), model.archive.text(BASE_CARD))
