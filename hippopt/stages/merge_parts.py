"""Stage: join what the parts of a study have found into volumes.tsv and failures.tsv, and tell which scans
are missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hippopt.artifacts.codec import one_line
from hippopt.artifacts.plan import Plan
from hippopt.console import Console
from hippopt.errors import HippoptError
from hippopt.files.scan_listing import ScanFiles
from hippopt.inference.correct_first import say_first
from hippopt.inference.kept_masks import KeptMasks
from hippopt.inference.outcomes import Outcomes
from hippopt.inference.volumes import Standards


@dataclass(frozen=True)
class MergeRequest:
    """source: the folder of the scans; volume: which one of a 4D scan; verify: measure every mask anew."""

    source: Path
    output: Path
    standards: Standards
    volume: int | None = None
    verify: bool = False


@dataclass(frozen=True)
class Merged:
    """How many scans have a mask, how many failed, and positions (from 0) of those that were not tried yet."""

    masks: int
    failed: int
    missing: tuple[int, ...]


def merge_parts(scans: Sequence[ScanFiles], plan: Plan, request: MergeRequest, console: Console) -> Merged:
    """Write the tables of a study. No network is needed: a mask whose rows are lost, or that was changed, is measured.

    Args:
        scans: all scans of the study, in the order of the tables.
        plan: of the networks that made the masks: labels and their values.
        request: the folders, and what the masks are judged by.
        console: shows a bar, and says what is wrong with which scan.

    Returns:
        Numbers of masks and of failures, and which scans were not tried. A scan that cannot be measured is a failure;
        the others are merged.

    Raises:
        OutputError: a table cannot be written.
    """
    outcomes = Outcomes(request.output, plan, None, console)
    masks = KeptMasks(outcomes, plan, request.standards, request.volume)
    count, missing = 0, []
    for position, files in enumerate(console.track(scans, "merge", len(scans))):
        failure = outcomes.last_failure(files)
        if outcomes.is_there(files):
            try:
                masks.look(files, request.output, request.verify)
                count += 1
            except Exception as error:  # whatever is wrong with one scan, the others are merged
                reason = (
                    one_line(error) if isinstance(error, HippoptError) else f"{type(error).__name__}: {one_line(error)}"
                )
                console.warn(f"{files.id}: {reason}")
                outcomes.fail(files, reason)
        elif failure is not None:
            outcomes.take(files, failure)
        else:
            missing.append(position)
    outcomes.save(scans, request.source, ended=True)
    say_first(outcomes.to_correct, console)
    return Merged(count, outcomes.failures, tuple(missing))
