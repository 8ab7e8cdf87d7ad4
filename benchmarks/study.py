"""A large study: in parts of which one is killed, against one undisturbed run; and how soon a list of names that are
nearly all done starts.

    python -m benchmarks.study --root WORKSPACE --scans FOLDER --count 1000 --parts 4 --plot docs/pictures/study.png
    python -m benchmarks.study --root WORKSPACE --scans FOLDER --names 50000 --left 200

WORKSPACE has one trained run; the study's scans are links to those of FOLDER, again and again, and three files that are
no images. The first prints whether tables and masks of the parts are those of the one run, and seconds per scan and
memory of the first and the last quarter of each part (the plot shows them over time); the second, how long it takes
until the first new mask is written, and until that of an empty folder is. Speed depends on what else the machine does:
the quarters are to be compared, not the seconds.
"""

import argparse
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec
import numpy as np

from hippopt.artifacts.dataset import image_files
from hippopt.inference.journal import part_journals
from hippopt.inference.volume_table import read_volumes, write_volumes

TABLES = ("volumes.tsv", "failures.tsv")


def make_study(scans: list[Path], folder: Path, count: int, broken: int) -> Path:
    """Links to the scans, and files that are no images."""
    folder.mkdir()
    for number, path in zip(range(count - broken), itertools.cycle(scans), strict=False):
        (folder / f"s{number:05d}.nii.gz").symlink_to(path.resolve())
    for number in range(broken):
        (folder / f"broken{number}.nii.gz").write_text("text")
    return folder


class Watched:
    """A command as a process that is looked at twice a second.

    seen: rows of time in s, resident memory in MB, and processor time used so far in s.
    """

    def __init__(self, *command: str) -> None:
        self.seen: list[tuple[float, float, float]] = []
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        proc = Path(f"/proc/{self.process.pid}")
        while self.process.poll() is None:
            try:
                pages = int((proc / "statm").read_text().split()[1])
                user, system = (proc / "stat").read_text().rpartition(")")[2].split()[11:13]
            except (OSError, IndexError, ValueError):
                return
            used = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
            self.seen.append((time.time(), pages * os.sysconf("SC_PAGE_SIZE") / 1e6, used))
            time.sleep(0.5)

    def seconds_per_scan(self, journal: Path) -> np.ndarray:
        """Processor time from each scan of the journal to its next; the clock's would be that of other work, too."""
        times, _, used = np.array(self.seen).T
        return np.diff(np.interp(found_at(journal), times, used))


def predicting(root: Path, source: Path, output: Path, *more: str) -> Watched:
    """hippopt_predict at work."""
    command = [sys.executable, "-m", "hippopt.cli.predict", "--device", "cpu", "--root", str(root)]
    return Watched(*command, "-i", str(source), "-o", str(output), *more)


def found_at(journal: Path) -> list[float]:
    """When each scan was found, in s."""
    lines = (msgspec.json.decode(line) for line in journal.read_bytes().splitlines())
    return [line["at"] / 1e9 for line in lines if "at" in line]


def run_parts(root: Path, source: Path, output: Path, parts: int) -> list[Watched]:
    """Two parts at a time; part 2 is killed once it has ten masks, and run again at the end."""
    done: list[Watched] = []
    numbers = [*range(1, parts + 1), 2]
    for pair in (numbers[first : first + 2] for first in range(0, len(numbers), 2)):
        running = {part: predicting(root, source, output, "--parts", str(parts), "--part", str(part)) for part in pair}
        if 2 in running and not done:
            while (
                running[2].process.poll() is None
                and sum(len(found_at(path)) for path in part_journals(output, (2, parts))) < 10
            ):
                time.sleep(0.2)
            running[2].process.send_signal(signal.SIGKILL)
        for watched in running.values():
            watched.process.wait()
        done += running.values()
    return done


def study(options: argparse.Namespace, scans: list[Path], folder: Path) -> bool:
    source = make_study(scans, folder / "scans", options.count, 3)
    whole, parted = folder / "whole", folder / "parted"
    watched = [predicting(options.root, source, whole)]
    watched[0].process.wait()
    watched += run_parts(options.root, source, parted, options.parts)
    merge = predicting(options.root, source, parted, "--merge")
    print(f"merge ends with {merge.process.wait()}")
    same = all((whole / name).read_bytes() == (parted / name).read_bytes() for name in TABLES)
    masks = [path.name for path in image_files(whole)]
    same &= all((whole / name).read_bytes() == (parted / name).read_bytes() for name in masks)
    print(
        f"tables and {len(masks)} masks of {options.parts} parts, one killed: {'those' if same else 'NOT THOSE'} of"
        " one run"
    )
    series: list[tuple[str, np.ndarray]] = []
    by_number = {str(each.process.pid): each for each in watched}
    for journal in part_journals(parted):
        times = by_number[journal.stem.split(".")[-2]].seconds_per_scan(journal)
        quarter = max(1, len(times) // 4)
        if len(times) >= 8:
            name = journal.name.split(".")[0].replace("-", " ")
            name += ", another process" if name in dict(series) else ""
            series.append((name, times))
            print(
                f"{name}: {np.median(times[:quarter]):.2f} s per scan in its first quarter,"
                f" {np.median(times[-quarter:]):.2f} in its last"
            )
    for number, process in enumerate(watched):
        values = np.array(process.seen)[:, 1]
        quarter = max(1, len(values) // 4)
        print(
            f"process {number}: {values[quarter : 2 * quarter].mean():.0f} MB in its second quarter,"
            f" {values[-quarter:].mean():.0f} in its last"
        )
    if options.plot:
        draw(series, watched, options.plot)
    return same


def draw(series: list[tuple[str, np.ndarray]], watched: list[Watched], path: Path) -> None:
    """Processor time per scan (median of 15 around it) and memory, over scans and over time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
    for name, times in series:
        left.plot([np.median(times[max(0, at - 7) : at + 8]) for at in range(len(times))], label=name)
    left.set(xlabel="scans of the part", ylabel="processor time per scan, s (median of 15)", ylim=(0, None))
    left.legend(fontsize="small", loc="lower right")
    for number, process in enumerate(watched):
        times, memory, _ = np.array(process.seen).T
        right.plot((times - times[0]) / 60, memory, label="one run" if number == 0 else f"part, process {number}")
    right.set(xlabel="minutes", ylabel="resident memory, MB", ylim=(0, None))
    right.legend(fontsize="small", loc="lower right")
    figure.savefig(path, dpi=110)


def until_first_mask(root: Path, source: Path, output: Path, new: set[str]) -> float:
    """Seconds from the start of the command to its first new mask; it is then asked to end."""
    started = time.monotonic()
    watched = predicting(root, source, output)
    while watched.process.poll() is None and not any((output / name).exists() for name in new):
        time.sleep(0.05)
    seconds = time.monotonic() - started
    watched.process.terminate()
    watched.process.wait()
    return seconds


def nearly_done(options: argparse.Namespace, scans: list[Path], folder: Path) -> bool:
    source, output = make_study(scans, folder / "scans", options.names, 0), folder / "out"
    few = make_study(scans, folder / "few", 2, 0)
    empty = until_first_mask(options.root, few, output, {"s00000.nii.gz"})
    rows = read_volumes(output / "volumes.tsv")["s00000"]
    mask = output / "s00000.nii.gz"
    table = {}
    for number in range(options.names - options.left):
        scan = f"s{number:05d}"
        if number > 1:
            (output / f"{scan}.nii.gz").unlink(missing_ok=True)
            os.link(mask, output / f"{scan}.nii.gz")
        table[scan] = tuple(line.replace("s00000", scan, 1) for line in rows)
    time.sleep(0.1)
    write_volumes(table, output / "volumes.tsv")
    new = {f"s{number:05d}.nii.gz" for number in range(options.names - options.left, options.names)}
    full = until_first_mask(options.root, source, output, new)
    print(
        f"first new mask of {options.names} names, all but {options.left} done: {full:.1f} s; of two scans in an empty"
        f" folder: {empty:.1f} s"
    )
    return full < 20 + empty


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--scans", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--parts", type=int, default=4)
    parser.add_argument("--names", type=int)
    parser.add_argument("--left", type=int, default=200)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = nearly_done if options.names else study
        return 0 if work(options, image_files(options.scans), Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main())
