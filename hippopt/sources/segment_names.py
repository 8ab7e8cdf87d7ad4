"""Names that label files give their values: used where they agree, and refused where they contradict each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hippopt.console import some_of
from hippopt.errors import DatasetError, ImageError
from hippopt.files.file_kind import first_bytes
from hippopt.files.segments import named_values

SHOWN = 3


def other_values(path: Path, segments: Mapping[str, int], labels: Mapping[str, int]) -> list[str]:
    """A fault for each segment whose value is another one than that of the label of its name, up to letter case."""
    by_name = {name.casefold(): (name, value) for name, value in labels.items()}
    faults = []
    for name, value in segments.items():
        label, meant = by_name.get(name.casefold(), (name, value))
        if meant != value:
            faults.append(
                f"{path}: its segment {name!r} has the value {value}, but the label {label!r} has {meant}; import the"
                " files anew with hippopt_import, which goes by the names"
            )
    return faults


def contradictions(named: Mapping[str, Mapping[str, int]]) -> list[str]:
    """named: case -> the file's {name: value}, empty where it has no names.

    A fault for each value that has several names.
    """
    names_of: dict[int, dict[str, list[str]]] = {}
    for case, segments in named.items():
        for name, value in segments.items():
            names_of.setdefault(value, {}).setdefault(name, []).append(case)
    faults = []
    for value, names in sorted(names_of.items()):
        if len({name.casefold() for name in names}) > 1:
            told = " and ".join(f"{name!r} in {some_of(cases, SHOWN)}" for name, cases in names.items())
            faults.append(
                f"value {value} is {told}: the label files name their segments so; import them with hippopt_import"
                " without numbers in --labels, which goes by the names, or correct the files"
            )
    return faults


def common_values(
    named: Mapping[str, Mapping[str, int]], labels: Mapping[str, int] | None
) -> tuple[dict[str, int], bool]:
    """({name: value in the data set}, whether files have to be renumbered for it).

    named: case -> the file's {name: value}. labels: what dataset.json declares, None for nothing. Values of the files
    are kept where they agree. Raises DatasetError for files without names among others, and for names that dataset.json
    does not know.
    """
    nameless = [case for case, segments in named.items() if not segments]
    if nameless:
        raise DatasetError(
            f"{some_of(nameless, SHOWN)}: {len(nameless)} label files without names of segments, and"
            f" {len(named) - len(nameless)} with them; save all from 3D Slicer, or pick by number with --labels"
        )
    found: dict[str, int] = {}
    for segments in named.values():
        for name, value in segments.items():
            found.setdefault(next((other for other in found if other.casefold() == name.casefold()), name), value)
    if labels is not None:
        known = {name.casefold(): value for name, value in labels.items()}
        strange = [name for name in found if name.casefold() not in known]
        if strange:
            raise DatasetError(
                f"segments {', '.join(strange)} of the label files are not in dataset.json's labels {list(labels)};"
                " correct one"
            )
        wanted = {name: known[name.casefold()] for name in found}
    elif len(set(found.values())) == len(found):
        wanted = found
    else:
        wanted = {name: number for number, name in enumerate(found, 1)}
    by_name = {name.casefold(): value for name, value in wanted.items()}
    moved = any(by_name[name.casefold()] != value for segments in named.values() for name, value in segments.items())
    if moved and labels is None:  # numbers of some of the files would be as arbitrary as any
        wanted = {name: number for number, name in enumerate(found, 1)}
    return wanted, moved


def picked_otherwise(picks: Mapping[str, Sequence[int]], named: Mapping[str, Mapping[str, int]]) -> list[str]:
    """A fault for each pick that has the name of a segment, but not its number."""
    faults = []
    for name, numbers in picks.items():
        for case, segments in named.items():
            value = next((value for segment, value in segments.items() if segment.casefold() == name.casefold()), None)
            if value is not None and value not in numbers:
                faults.append(
                    f"--labels {name}={','.join(map(str, numbers))}: the label file of {case} names {value} so; correct"
                    " the number, or leave --labels out"
                )
                break
    return faults


def segment_names(path: Path) -> dict[str, int]:
    """The names that a label file gives its values; none where it is
    no NRRD file, or cannot be read, which its import tells.
    """
    try:
        return named_values(path) if first_bytes(path).startswith(b"NRRD") else {}
    except (OSError, ImageError):
        return {}
