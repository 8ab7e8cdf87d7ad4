"""What a source folder holds: its cases, and what is wrong with them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hippopt.artifacts.dataset import split_ending
from hippopt.files.scan_listing import regular_images
from hippopt.sources.description import Description


@dataclass(frozen=True)
class SourceCase:
    """One labelled scan. images: a file per channel in channel order, or one file whose last axis is the channel."""

    id: str
    images: tuple[Path, ...]
    label: Path


@dataclass
class Source:
    """What a folder holds. faults: (case id, fault), the id empty where it concerns the whole; notes are for people."""

    layout: str
    description: Description
    cases: list[SourceCase] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def case_ids(self) -> list[str]:
        """Ids by name of all cases, those with faults included."""
        return sorted({case.id for case in self.cases} | {case for case, _ in self.faults if case})

    def files_by_stem(self, folder: Path) -> dict[str, list[Path]]:
        """List the image files of a folder by stem, and note what else lies there."""
        found: dict[str, list[Path]] = {}
        files, notes = regular_images(folder, "")
        for path in files:
            stem, ending = split_ending(path.name) or ("", "")
            if ending.lower() == ".hdr" and path.with_suffix(".img").exists():
                continue  # the pair is listed by its .img
            found.setdefault(stem, []).append(path)
        self.notes += notes
        return found

    def single(self, case: str, files: list[Path]) -> Path:
        """Take the first of the files of one stem; further ones are a fault of the case."""
        if len(files) > 1:
            names = " and ".join(path.name for path in files)
            self.faults.append((case, f"{files[0]}: ambiguous, {names} are the same scan; keep one of them"))
        return files[0]

    def add_cases(
        self, parts: Mapping[str, Mapping[int, Path]], labels: Mapping[str, Path], exactly: int | None
    ) -> None:
        """Add the cases that have the channels of most cases, or 0 to `exactly` - 1; the others are faults.

        parts: {case: {channel: file}}; labels: {case: file}.
        """
        numbers = Counter(tuple(sorted(channels)) for channels in parts.values())
        usual = tuple(range(exactly)) if exactly else numbers.most_common(1)[0][0] if numbers else ()
        for case, channels in sorted(parts.items()):
            if tuple(sorted(channels)) == usual:
                self.cases.append(SourceCase(case, tuple(channels[number] for number in usual), labels[case]))
            else:
                got, wanted = (" ".join(f"{number:04d}" for number in some) for some in (sorted(channels), usual))
                whose = "dataset.json names" if exactly else "most cases have"
                file = min(channels.values())
                text = f"{file}: case {case} has channels {got}, but {whose} {wanted}; add or remove files"
                self.faults.append((case, text))


def clashing_ids(ids: Iterable[str]) -> list[str]:
    """A fault for each id that equals another up to letter case or blanks: on some disks they are one file."""
    folded: dict[str, str] = {}
    faults = []
    for case in ids:
        other = folded.setdefault(case.strip().lower(), case)
        if other != case:
            faults.append(f"case {case!r}: differs from {other!r} in letter case or blanks only; rename one")
    return faults
