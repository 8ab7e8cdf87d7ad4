"""Memory of one process over many scans: flat after the tenth, by hippopt_predict and by Predictor.

    python -m benchmarks.memory_over_scans --root WORKSPACE --scans FOLDER --count 300 --plot docs/pictures/memory.png

WORKSPACE has one trained run; the scans are links to those of FOLDER, again and again. Each way has a process of its
own that is looked at twice a second. Ends with 1 where the last fifty scans have more than 5 % above what scans 10 to
59 had.
"""

import argparse
import itertools
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.study import Watched, make_study, predicting
from hippopt.artifacts.dataset import image_files

MOST = 1.05
PREDICTOR = """
import sys
from pathlib import Path
from hippopt import Predictor
root, source, output = map(Path, sys.argv[1:])
predictor = Predictor.load(root, device="cpu")
output.mkdir()
for scan in sorted(source.iterdir()):
    found = predictor.predict(scan, uncertainty=True)
    (output / scan.name).write_text(repr(found))
"""


def memory_at(watched: Watched, output: Path, scans: Path) -> np.ndarray:
    """Resident memory in MB when the file of each scan's name was written."""
    written = sorted((output / scan.name).stat().st_mtime for scan in scans.iterdir())
    times, memory, _ = np.array(watched.seen).T
    return np.interp(written, times, memory)


def draw(series: dict[str, np.ndarray], path: Path) -> None:
    """Memory over scans, one line per way."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.5), layout="constrained")
    for (name, memory), style in zip(series.items(), itertools.cycle("-:")):
        axes.plot(np.arange(1, len(memory) + 1), memory, style, label=name)
    axes.set(xlabel="scans segmented by one process", ylabel="resident memory, MB", ylim=(0, None))
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110)


def main() -> int:
    """Return 0 where memory is flat."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--scans", type=Path, required=True)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    series = {}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        source = make_study(image_files(options.scans), folder / "scans", options.count, 0)
        by_command = predicting(options.root, source, folder / "command", "--save-uncertainty")
        by_command.process.wait()
        series["hippopt_predict"] = memory_at(by_command, folder / "command", source)
        by_object = Watched(sys.executable, "-c", PREDICTOR, str(options.root), str(source), f"{folder}/object")
        by_object.process.wait()
        series["Predictor"] = memory_at(by_object, folder / "object", source)
    flat = True
    for name, memory in series.items():
        early, late = memory[9:59].mean(), memory[-50:].mean()
        flat &= len(memory) == options.count and late < MOST * early
        print(
            f"{name}: {len(memory)} scans; resident memory {early:.0f} MB over scans 10 to 59, {late:.0f} MB over the"
            f" last 50, at most {memory.max():.0f}"
        )
    if options.plot:
        draw(series, options.plot)
    return 0 if flat else 1


if __name__ == "__main__":
    sys.exit(main())
