"""Whether the outputs of a prediction can be written, and replace nothing that is read: told before anything is
computed.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hippopt.artifacts.distinct_paths import overwritten, written_twice
from hippopt.artifacts.writable_folder import check_writable, longest_name
from hippopt.errors import OutputError
from hippopt.files.scan_listing import ScanFiles
from hippopt.inference.outcomes import PROBABILITIES, UNCERTAINTY, map_path, mask_path
from hippopt.inference.request import PredictionRequest


def check_output(source: Path, output: Path) -> None:
    """Raises OutputError, before anything is computed, when the output cannot be written or is the input."""
    if os.path.realpath(output) == os.path.realpath(source if source.is_dir() else source.parent):
        raise OutputError(f"-o {output}: the same folder as the input; choose another, so that no scan is overwritten")
    check_writable(output, f"-o {output}")


def check_outputs(scans: Sequence[ScanFiles], request: PredictionRequest) -> list[ScanFiles]:
    """The scans, with a fault where their outputs' names are too long for the disk.

    Raises OutputError where a mask or map would replace a file that is read, or another one.
    """
    kinds = [
        kind
        for kind, wanted in ((PROBABILITIES, request.save_probabilities), (UNCERTAINTY, request.save_uncertainty))
        if wanted
    ]
    outputs = {
        files.id: [mask_path(files, request.output), *(map_path(files, kind, request.output) for kind in kinds)]
        for files in scans
    }
    every = [path for paths in outputs.values() for path in paths]
    found = overwritten(every, [path for files in scans for path in files.channels])
    if found is not None:
        raise OutputError(
            f"-o {request.output}: {found[0].name} would be written over {found[1]}, which is read; choose another"
            " folder"
        )
    twice = written_twice(every)
    if twice is not None:
        raise OutputError(
            f"-o {request.output}: {twice.name} would be the mask of one scan and a map of another; rename one of the"
            " scans"
        )
    most = longest_name(request.output)
    return [
        (
            replace(
                files,
                fault=(
                    f"{name}: longer than the {most} bytes that a file's name may have in {request.output}; rename the"
                    " scan"
                ),
            )
            if not files.fault and (name := _too_long(outputs[files.id], most))
            else files
        )
        for files in scans
    ]


def _too_long(paths: Sequence[Path], most: int) -> str:
    """The first name that is too long, shortened for people; empty where there is none."""
    name = next((path.name for path in paths if len(os.fsencode(path.name)) > most), "")
    return f"{name[:40]}...{name[-30:]}" if name else ""
