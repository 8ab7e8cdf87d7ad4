"""A study in parts: the list that all parts share, the scans of one, and what is missing when they are merged."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hippopt.artifacts.codec import parse_json
from hippopt.console import Console, counted
from hippopt.errors import OutputError, PlanError
from hippopt.files.scan_listing import ScanFiles, list_scans
from hippopt.inference.journal import Part
from hippopt.inference.request import PredictionRequest
from hippopt.inference.scan_list import SCAN_LIST, ScanList, write_list
from hippopt.recipes.chosen_run import ChosenRun
from hippopt.recipes.standards import load_standards, with_head_sizes
from hippopt.stages.merge_parts import Merged, MergeRequest, merge_parts
from hippopt.workspace import PROVENANCE

LIST_KEYS = ("parts", "scans", "scans_sha256")  # of prediction.json, where the scans were dealt out
NAMED = 10  # of missing scans per part, and parts in lines of their own


def deal(scans: Sequence[ScanFiles], part: Part) -> list[ScanFiles]:
    """The scans of one part. In turn, so that every part has its share of whatever stands together in the list."""
    return list(scans[part[0] - 1 :: part[1]])


def known_identity(output: Path) -> dict[str, Any] | None:
    """What made the masks of a folder; None where it holds none. Raises OutputError."""
    path = output / PROVENANCE
    if not path.is_file():
        return None
    try:
        old = parse_json(path.read_bytes(), path)
    except PlanError as error:
        raise OutputError(f"{error}; or add --overwrite") from None
    if not isinstance(old, dict):
        raise OutputError(f"{path}: does not say what made the masks beside it; choose another -o, or add --overwrite")
    return old


def dealt_in(output: Path, parts: int | None) -> int | None:
    """Give the number of parts in which the scans of an output folder were dealt out.

    Args:
        output: the folder of the masks.
        parts: how many are asked for; None where any will do.

    Returns:
        The number; None where nothing was dealt out yet.

    Raises:
        OutputError: they were dealt out in another number of parts.
    """
    there = (known_identity(output) or {}).get("parts")
    if isinstance(there, int) and parts not in (None, there):
        raise OutputError(
            f"{output}: its scans were dealt out in {there} parts; give --parts {there}, finish what is left in one"
            " call without --parts, or choose another -o"
        )
    return there if isinstance(there, int) else None


def open_list(source: Path, output: Path, scans: Sequence[ScanFiles], parts: int, console: Console) -> ScanList:
    """The list that all parts share, made by the first. Raises OutputError where the scans were dealt out otherwise."""
    dealt_in(output, parts)
    old = known_identity(output) or {}
    write_list(output, scans)
    found = ScanList(output, source, scans)
    if old.get("scans_sha256") not in (None, found.sha256):
        raise OutputError(
            f"{output / SCAN_LIST}: not the list that the other parts have; restore it, or remove it and"
            f" {output / PROVENANCE} to deal the scans out anew"
        )
    if found.new:
        console.warn(
            f"{counted(len(found.new), 'scan')} ({some(found.new)}) came after {SCAN_LIST} was written and"
            f" {'is' if len(found.new) == 1 else 'are'} in no part; once the parts are done, the same command without"
            " --parts segments what is left"
        )
    return found


def merge_study(chosen: ChosenRun, request: PredictionRequest, console: Console) -> int:
    """Join the tables of a folder. Returns how many scans are missing. Raises HippoptError's kinds."""
    plan = chosen.plan
    old = known_identity(request.output)
    if old is None:
        raise OutputError(
            f"-o {request.output}: no {PROVENANCE} in it, so that there is nothing to merge; run hippopt_predict"
            " without --merge"
        )
    found, notes = list_scans(request.source, plan.channel_names)
    for note in notes:
        console.warn(note)
    listed = ScanList(request.output, request.source, found) if (request.output / SCAN_LIST).exists() else None
    scans = [*listed.scans, *(files for files in found if files.id in set(listed.new))] if listed else found
    calibrated = old.get("checkpoint") != "best"
    standards = load_standards(chosen, chosen.cards(), console, calibrated)
    standards = with_head_sizes(standards, request.head_size, scans, console)
    merged = merge_parts(
        scans, plan, MergeRequest(request.source, request.output, standards, request.volume, request.verify), console
    )
    dealt, parts = len(listed.scans) if listed else 0, old.get("parts") or 1
    console.result(
        dataset=chosen.dataset,
        run=chosen.name,
        folds=list(chosen.folds),
        output=request.output,
        merged=merged.masks,
        failed=merged.failed,
        missing=[scans[position].id for position in merged.missing],
        missing_parts=sorted({position % parts + 1 for position in merged.missing if position < dealt}),
    )
    _tell(merged, scans, dealt, parts, console)
    console.say(
        f"merged {counted(merged.masks, 'mask')}, {merged.failed} failed, {len(merged.missing)} missing:"
        f" {request.output}"
    )
    if merged.failed:
        console.warn(
            f"{counted(merged.failed, 'scan')} failed, each with its reason in {request.output / 'failures.tsv'}"
        )
    return len(merged.missing)


def _tell(merged: Merged, scans: Sequence[ScanFiles], listed: int, parts: int, console: Console) -> None:
    """Name the parts and scans that are missing. listed: how many of the scans stand in the list."""
    missing: dict[int, list[str]] = {}
    for position in merged.missing:
        missing.setdefault(position % parts + 1 if position < listed else 0, []).append(scans[position].id)
    new = missing.pop(0, [])
    for part, names in sorted(missing.items())[:NAMED]:
        console.warn(
            f"part {part} of {parts}: {len(names)} of {len(range(part - 1, listed, parts))} scans are missing"
            f" ({some(names)})"
        )
    if missing:
        numbers = ",".join(str(part) for part in sorted(missing))
        console.warn(
            f"{counted(len(missing), 'part')} missing or unfinished: {numbers}; run them again (with SLURM: sbatch"
            f" --array={numbers} FILE)"
        )
    if new:
        console.warn(
            f"{counted(len(new), 'scan')} missing ({some(new)}): in no part; the same command without --merge and"
            " --parts segments them"
        )


def some(names: Sequence[str]) -> str:
    """Name the first of these in a line, and say how many more there are."""
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
