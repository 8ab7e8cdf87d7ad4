"""Fuzz the parsers, guided by the code that inputs reach.

    pip install -e ".[fuzz]"
    python -m tests.fuzzing --minutes 10                  # each target in turn
    python -m tests.fuzzing --minutes 1 --only plan nifti

Each target begins from sound inputs of tests/fuzzing/seeds.py. A fault is anything else than an error line or a sound
result: a traceback, an input that takes longer than 30 s, or more than 2 GB of memory. Its input is kept under --keep
and named. Ends with 1 where there was one.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tests.fuzzing.seeds import seeds
from tests.fuzzing.targets import TARGETS

MOST_SECONDS, MOST_MB, MOST_BYTES = 30, 2048, 4096


def main() -> int:
    """Return 0 where nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="for each target (default: 10)")
    parser.add_argument("--only", nargs="+", choices=tuple(TARGETS), default=list(TARGETS), metavar="TARGET")
    parser.add_argument("--seed", type=int, default=1, help="of libFuzzer (default: 1)")
    parser.add_argument("--keep", type=Path, default=Path("fuzzed"), help="folder for inputs of faults and new corpora")
    options = parser.parse_args()
    if find_spec("atheris") is None:
        print("atheris is not installed: pip install -e '.[fuzz]'", file=sys.stderr)
        return 2
    print("| target | seconds | inputs | of them kept for new code | faults |\n|---|---|---|---|---|", flush=True)
    found = [_fuzz(name, 60 * options.minutes, options.seed, options.keep.absolute()) for name in options.only]
    return 1 if any(found) else 0


def _fuzz(name: str, seconds: float, seed: int, keep: Path) -> bool:
    """Fuzz a target and print its line. Returns whether a fault was found."""
    corpus, faults = keep / name / "corpus", keep / name / "faults"
    for folder in (corpus, faults):
        folder.mkdir(parents=True, exist_ok=True)
    for data in seeds(name):
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    before = len(list(corpus.iterdir()))
    limits = (
        f"-max_total_time={max(1, int(seconds))}", f"-timeout={MOST_SECONDS}", f"-rss_limit_mb={MOST_MB}",
        f"-max_len={MOST_BYTES}", f"-seed={seed}", "-print_final_stats=1",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzzing.guided", name, str(corpus), *limits, f"-artifact_prefix={faults}/"],
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": scratch},
        )
    said = done.stdout + done.stderr
    inputs = re.findall(r"number_of_executed_units:\s*(\d+)", said) or re.findall(r"^#(\d+)", said, re.MULTILINE)
    kept = len(list(corpus.iterdir())) - before
    fault = done.returncode != 0
    spent = re.findall(r"Done \d+ runs in (\d+) second", said)
    cells = name, spent[-1] if spent else "-", inputs[-1] if inputs else "-", str(kept), "1" if fault else "0"
    print(f"| {' | '.join(cells)} |", flush=True)
    if fault:
        (keep / name / "said.txt").write_text(said)
        last = [line for line in said.splitlines() if re.match(r"\w*(Error|Exception)|.*ERROR: libFuzzer", line)]
        print(f"  {name}: {last[-1] if last else said[-300:]}; {faults}", flush=True)
    return fault


if __name__ == "__main__":
    sys.exit(main())
