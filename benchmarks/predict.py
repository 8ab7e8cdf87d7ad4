"""Seconds and peak memory of prediction beside nnU-Net v2: a whole brain and crops, five folds, with and without flips.

    python -m benchmarks.predict_setup SETUP --nnunet-env DIR --crops SOURCE --brains SOURCE --labels NAME=VALUE ...
    (once) python -m benchmarks.predict SETUP --nnunet-env DIR [--only crops] [--no-flips-only]
        [--crops 60] [--brains 2] [--json FILE]

SETUP holds what predict_setup made; DIR is a virtual environment in which nnU-Net v2 is installed. `hippopt_predict`
and `nnUNetv2_predict` run one after the other on the same cores and as many threads, nnU-Net in both its worker
settings: its own (3 processes that prepare, 3 that write) and none (`-npp 0 -nps 0`). Each predicts one scan, and
several; the difference, a scan, is `s more a scan`. nnU-Net with flips takes one whole brain only: it takes eight times
as long.

Seconds are of the whole command, start-up included, with files in the page cache (one crop goes first, untimed). Peak
memory is that of all processes of the command together: the sum of their PSS, so that shared pages count once, sampled
five times a second. Flips: hippopt makes those of its training only (often none), nnU-Net all eight. The masks of these
networks of a few steps are worth nothing, but how many scans hippopt could not locate is printed: it then looks
everywhere, and is slower.
"""

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.predict_setup import DATASETS, hippopt, nnunet, nnunet_environment

TOOLS = {
    "hippopt": (),
    "nnU-Net, 3 + 3 workers": ("-npp", "3", "-nps", "3"),
    "nnU-Net, no workers": ("-npp", "0", "-nps", "0"),
}
# of nnU-Net's: one brain, all crops
AIMS = {
    "brain": {"seconds": 1 / 10, "peak_gb": 1 / 3},
    "crop": {"seconds": 1 / 3},
}
BRAIN_SECONDS = 11.0
SAMPLE_SECONDS = 0.2

Row = dict[str, Any]


def session_gb(session: int) -> float:
    """Sum of the PSS of all processes of a session."""
    total = 0
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                lines = (folder / "smaps_rollup").read_text().splitlines()
                total += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
        except OSError:  # it ended meanwhile
            continue
    return total * 1024 / 1e9


def measure(command: list[str], environment: dict[str, str], log: Path) -> tuple[float, float]:
    """Seconds and peak GB of a command and all that it starts."""
    with log.open("w") as words:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            start_new_session=True,
            cwd=log.parent,
        )
        peak, ended = [0.0], threading.Event()

        def watch() -> None:
            while not ended.wait(SAMPLE_SECONDS):
                peak[0] = max(peak[0], session_gb(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            code = process.wait()
            seconds = time.perf_counter() - began
        finally:
            ended.set()
            watcher.join()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
    if code:
        raise SystemExit(f"{' '.join(command)}\nleft {code}:\n" + "\n".join(log.read_text().splitlines()[-15:]))
    return seconds, peak[0]


def predict(options: argparse.Namespace, kind: str, count: int, flips: bool, tool: str) -> Row:
    """One command on the first `count` scans of a kind."""
    workspace, dataset = options.setup / f"{kind}s", DATASETS[kind]
    scans = sorted((workspace / "raw_data" / dataset / "imagesTr").glob("*_0000.nii.gz"))[:count]
    if len(scans) < count:
        raise SystemExit(f"{workspace} holds {len(scans)} scans only")
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder) / "in", Path(folder) / "out"
        source.mkdir()
        for scan in scans:
            (source / scan.name).symlink_to(scan.resolve())
        if tool == "hippopt":
            command, environment = hippopt("predict", "--root", str(workspace), "-d", dataset, "--device", "cpu")
            command += ["--tta"] if flips else []
        else:
            command = nnunet(
                options.nnunet_env,
                "predict",
                "-d",
                dataset,
                "-c",
                "3d_fullres",
                "-device",
                "cpu",
                "--disable_progress_bar",
            )
            command += [*TOOLS[tool], *([] if flips else ["--disable_tta"])]
            environment = nnunet_environment(options.setup, options.threads)
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(options.threads))
        seconds, peak = measure(
            [*command, "-f", *options.folds, "-i", str(source), "-o", str(output)],
            environment,
            Path(folder) / "log.txt",
        )
        made = len(list(output.glob("*.nii.gz")))
        if made != count:
            raise SystemExit(f"{tool} made {made} masks of {count}:\n{(Path(folder) / 'log.txt').read_text()[-2000:]}")
        row = {"kind": kind, "count": count, "flips": flips, "tool": tool, "seconds": seconds, "peak_gb": peak}
        if tool == "hippopt":
            with (output / "volumes.tsv").open(newline="") as table:
                lost = {line["scan"] for line in csv.DictReader(table, delimiter="\t") if "not located" in line["flag"]}
            row["not_located"] = len(lost)
        return row


def counts(options: argparse.Namespace, kind: str, flips: bool, tool: str) -> list[int]:
    many = options.crops if kind == "crop" else options.brains
    return [1] if many == 1 or (kind == "brain" and flips and tool != "hippopt") else [1, many]


def found(rows: list[Row], **keys: Any) -> Row | None:
    return next((row for row in rows if all(row[key] == value for key, value in keys.items())), None)


def table(rows: list[Row]) -> str:
    """All rows, each beside hippopt's of the same scans."""
    lines = [
        "| scans | flips | command | s | s more a scan | peak, GB | hippopt's time | hippopt's memory |",
        "|" + "---|" * 8,
    ]
    order = sorted(rows, key=lambda row: (row["kind"], row["flips"], row["count"]))
    for row in order:
        same = {key: row[key] for key in ("kind", "count", "flips")}
        one = found(rows, kind=row["kind"], flips=row["flips"], tool=row["tool"], count=1)
        ours = found(rows, **same, tool="hippopt")
        more = f"{(row['seconds'] - one['seconds']) / (row['count'] - 1):.2f}" if one and row["count"] > 1 else ""
        shares = ["", ""]
        if ours and row is not ours:
            shares = [f"{ours[key] / row[key]:.3f} of it" for key in ("seconds", "peak_gb")]
        name = f"{row['count']} {row['kind']}" + ("s" if row["count"] > 1 else "")
        figures = " | ".join([f"{row['seconds']:.1f}", more, f"{row['peak_gb']:.2f}", *shares])
        lines.append(f"| {name} | {'yes' if row['flips'] else 'no'} | {row['tool']} | {figures} |")
    return "\n".join(lines)


def aims(rows: list[Row]) -> str:
    """What was aimed at, beside what was found; of nnU-Net's settings the one that is better, figure by figure."""
    lines = []
    for kind, wanted in AIMS.items():
        for flips in (False, True):
            of_kind = [row for row in rows if row["kind"] == kind and row["flips"] == flips]
            count = 1 if kind == "brain" else max((row["count"] for row in of_kind), default=1)
            ours = found(of_kind, tool="hippopt", count=count)
            theirs = [row for row in of_kind if row["tool"] != "hippopt" and row["count"] == count]
            if not ours:
                continue
            name = f"{count} {kind}{'s' if count > 1 else ''}, {'with' if flips else 'without'} flips"
            for key, aim in wanted.items() if theirs else ():
                best = min(row[key] for row in theirs)
                what = "time" if key == "seconds" else "peak memory"
                lines.append(
                    f"{name}: {ours[key] / best:.3f} of nnU-Net's {what} in its better setting (aim: {aim:.3f})"
                )
            if kind == "brain":
                lines.append(f"{name}: {ours['seconds']:.1f} s, start-up included (aim: about {BRAIN_SECONDS:.0f})")
    for row in rows:
        if row.get("not_located"):
            lines.append(
                f"{row['not_located']} of {row['count']} {row['kind']} scans were not located: hippopt looked"
                " everywhere"
            )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("setup", type=Path, metavar="SETUP")
    parser.add_argument(
        "--nnunet-env", type=Path, required=True, metavar="DIR", help="virtual environment with nnU-Net v2"
    )
    parser.add_argument("--only", choices=("crops", "brains"))
    parser.add_argument("--tools", nargs="+", choices=("hippopt", "workers", "no-workers"), help="default: all three")
    parser.add_argument("--no-flips-only", action="store_true", help="leave out the runs with flips")
    parser.add_argument("--crops", type=int, default=60, metavar="N", help="crops in one command (default: 60)")
    parser.add_argument("--brains", type=int, default=2, metavar="N", help="whole brains in one command (default: 2)")
    parser.add_argument("--folds", nargs="+", default=list("01234"), help="of both (default: all five)")
    parser.add_argument("--cores", type=int, nargs="+", default=[0, 1], help="cores that all may use (default: 0 1)")
    parser.add_argument("--threads", type=int, help="of each command; default: as many as cores")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures; written after each command")
    options = parser.parse_args()
    options.setup, options.nnunet_env = options.setup.resolve(), options.nnunet_env.resolve()
    options.threads = options.threads or len(options.cores)
    os.sched_setaffinity(0, options.cores)  # inherited by all commands
    short = dict(zip(("hippopt", "workers", "no-workers"), TOOLS, strict=True))
    tools = [short[name] for name in options.tools or short]
    rows: list[Row] = []
    for tool in (
        tools[:2] if (options.setup / "crops").exists() else ()
    ):  # untimed; nnU-Net's files are the same in both settings
        predict(options, "crop", 1, False, tool)
    for kind in [options.only[:-1]] if options.only else ["crop", "brain"]:
        for flips in [False] if options.no_flips_only else [False, True]:
            for tool in tools:
                for count in counts(options, kind, flips, tool):
                    row = predict(options, kind, count, flips, tool)
                    rows.append(row)
                    print(
                        f"  {kind} x {count}, flips {flips}, {tool}: {row['seconds']:.1f} s, {row['peak_gb']:.2f} GB",
                        file=sys.stderr,
                    )
                    if options.json:
                        options.json.write_text(
                            json.dumps({"cores": options.cores, "threads": options.threads, "rows": rows}, indent=1)
                        )
    print(
        f"cores {options.cores}, {options.threads} threads, folds"
        f" {' '.join(options.folds)}\n\n{table(rows)}\n\n{aims(rows)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
