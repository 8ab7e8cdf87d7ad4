"""Stage: join the model files of the runs that predict together into one, and take such a file apart."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from hippopt import __version__
from hippopt.artifacts.best import Best
from hippopt.artifacts.checked_zip import open_zip
from hippopt.artifacts.codec import canonical_json, decode, parse_json
from hippopt.artifacts.model_file import DATASET_NAME, Member
from hippopt.artifacts.model_set import BEST, SET_ALLOWED, SET_MANIFEST, ModelSet, model_member, set_fault
from hippopt.artifacts.written_zip import write_zip
from hippopt.console import Console
from hippopt.errors import HippoptError, WeightsError
from hippopt.networks.tensor_files import check_space


def join_models(target: Path, files: Mapping[str, Path], best: Best, console: Console) -> ModelSet:
    """Write the file of a choice.

    Args:
        target: the file; one that is there is replaced.
        files: run -> its model file.
        best: the choice.
        console: shows a bar.

    Returns:
        The manifest: data set, runs, and every member with its size in bytes and its sha256.

    Raises:
        OutputError: it cannot be written.
    """
    check_space(target, sum(path.stat().st_size for path in files.values()))
    parts: dict[str, Path | bytes] = {BEST: canonical_json(best)}
    parts |= {model_member(run): files[run] for run in best.runs}

    def manifest(members: tuple[Member, ...]) -> ModelSet:
        return ModelSet(hippopt=__version__, dataset=best.dataset, runs=best.runs, members=members)

    return write_zip(target, parts, (SET_MANIFEST, manifest), console)


def take_apart(path: Path, folder: Path) -> tuple[Best, dict[str, Path]]:
    """Unpack the model files of a choice.

    Args:
        path: a file of `join_models`, perhaps hostile.
        folder: empty; the model files are written there, and are to be checked as any model file is.

    Returns:
        The choice, and its model files by run.

    Raises:
        WeightsError: the file is damaged, or not one that hippopt_export made.
    """
    with open_zip(path, SET_ALLOWED) as archive:
        try:
            found = decode(parse_json(archive.text(SET_MANIFEST), path / SET_MANIFEST), ModelSet, path / SET_MANIFEST)
            best = decode(parse_json(archive.text(BEST), path / BEST), Best, path / BEST)
        except HippoptError as error:
            raise WeightsError(f"{str(error).splitlines()[0]} (nothing was written)") from None
        fault = set_fault(found, {name: size for name, size in archive.sizes.items() if name != SET_MANIFEST})
        if not fault and (best.dataset, best.runs) != (found.dataset, found.runs):
            fault = f"its {BEST} names other runs than its manifest"
        if not fault and not DATASET_NAME.fullmatch(found.dataset):
            fault = f"{found.dataset!r} is no name of a data set"
        if fault:
            raise WeightsError(f"{path}: {fault}; refused, nothing was written")
        check_space(folder, sum(archive.sizes.values()))
        wanted = {member.name: member.sha256 for member in found.members}
        files = {run: folder / f"{run}.zip" for run in found.runs}
        for run, file in files.items():
            digest = hashlib.sha256()
            with file.open("wb") as stream:
                for data in archive.chunks(model_member(run)):
                    digest.update(data)
                    stream.write(data)
            if digest.hexdigest() != wanted[model_member(run)]:
                raise WeightsError(
                    f"{path}: its member {model_member(run)} is not what its manifest names; copy the file anew"
                )
    return best, files
