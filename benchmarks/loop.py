"""What correcting masks gains: the worst-predicted ones against random ones, training on against training anew.

    python -m benchmarks.loop --data Task04_Hippocampus --workspace FOLDER [--seeds 0 1 2] [--steps 300]

The data folder has the Decathlon's layout with `subjects.tsv` and `splits.json`. Each seed draws forty persons that are
in neither `choose_on` nor `test_once`, with one scan each. Ten of them train five folds (or --folds) and `full-data`
for --steps. The folds predict the other thirty. Ten of these get their true labels by `hippopt_correct`, as if a person
had corrected them without fault, each choice in a copy of the workspace: those that `volumes.tsv` calls `correct first`
(worst), ten drawn at random (random), and the ten of the lowest true Dice, which nobody could know (oracle). Then
`full-data` goes on with --continue-from for --steps. Beside them stand

    ten         full-data of the ten as it was
    ten-long    the same gone on for --steps on the ten alone: what length gains without new labels
    anew        from the base on the ten and the ten worst-predicted, for --steps

Each is scored on the forty scans of `choose_on`: mean Dice over persons, with paired differences. What is done is kept,
so that the same command goes on after a stop.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from hippopt.artifacts.case_tables import read_subjects
from hippopt.inference.correct_first import FirstToCorrect, first_to_correct, unmarked
from hippopt.inference.volume_table import read_volumes
from hippopt.scoring.comparison import compare, foreground
from hippopt.scoring.tables import read_case_table

TEN, THIRTY = 10, 30
DATASET, RUN = "Dataset040_Loop", "lora-pt-r4"
ON = ["--continue-from", RUN, "--name", "long"]
ARMS = {  # arm: (workspace, run, options of hippopt_train)
    "ten": ("ten", RUN, []),
    "ten-long": ("ten", f"{RUN}-long", ON),
    "worst": ("worst", f"{RUN}-long", ON),
    "random": ("random", f"{RUN}-long", ON),
    "oracle": ("oracle", f"{RUN}-long", ON),
    "anew": ("worst", f"{RUN}-anew", ["--name", "anew"]),
}


def hippopt(command: str, root: Path, *arguments: object) -> None:
    line = [sys.executable, "-m", f"hippopt.cli.{command}", *map(str, arguments), "--root", str(root)]
    print("$", " ".join(line[2:]), flush=True)
    subprocess.run(line, check=True)


def link(folder: Path, files: list[Path]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        if not (folder / file.name).exists():
            (folder / file.name).symlink_to(file.resolve())
    return folder


def draw(data: Path, seed: int) -> tuple[list[str], list[str]]:
    """(the ten, the thirty): one scan a person, of none who scores."""
    subjects = read_subjects(data / "subjects.tsv")
    splits = json.loads((data / "splits.json").read_text())
    scoring = {subjects[case] for name in ("choose_on", "test_once") for case in splits[name]}
    persons: dict[str, list[str]] = {}
    for case, subject in sorted(subjects.items()):
        if subject not in scoring:
            persons.setdefault(subject, []).append(case)
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(sorted(persons))[: TEN + THIRTY]
    cases = [str(rng.choice(persons[subject])) for subject in chosen]
    return sorted(cases[:TEN]), sorted(cases[TEN:])


def first_run(data: Path, folder: Path, cases: list[str], steps: int, folds: list[str]) -> None:
    """Workspace `ten`: folds, and full-data, of ten cases."""
    root = folder / "ten"
    root.mkdir(parents=True, exist_ok=True)
    if not (root / "raw_data" / DATASET).exists():
        (folder / "cases.txt").write_text("\n".join(cases) + "\n")
        given = ("--cases", folder / "cases.txt", "--subjects", data / "subjects.tsv", "--jobs", 1)
        hippopt("import_dataset", root, data, "--id", 40, "--name", "Loop", *given)
    if not (root / "preprocessed" / DATASET / f"{cases[-1]}.json").exists():
        hippopt("plan", root, "Loop", "--jobs", 1)
    for fold in (*folds, "full-data"):
        hippopt("train", root, "Loop", fold, "--resume", "--jobs", 1, "--steps", steps)


def order(data: Path, folder: Path, cases: list[str]) -> FirstToCorrect:
    """What to correct first among the masks that the folds make of the cases."""
    scans = link(folder / "thirty", [data / "imagesTr" / f"{case}.nii.gz" for case in cases])
    hippopt("predict", folder / "ten", "-d", "Loop", "--run", RUN, "-i", scans, "-o", folder / "masks")
    return first_to_correct(unmarked(read_volumes(folder / "masks" / "volumes.tsv")))


def truly_worst(data: Path, folder: Path, cases: list[str]) -> list[str]:
    """The ten masks of the lowest true Dice."""
    labels = link(folder / "thirty_labels", [data / "labelsTr" / f"{case}.nii.gz" for case in cases])
    hippopt("evaluate", folder / "ten", "-p", folder / "masks", "-l", labels, "-d", "Loop", "--jobs", 1)
    dice = foreground(read_case_table(folder / "masks" / "metrics.csv")).set_index("case").dice
    return [str(case) for case in dice.sort_values(kind="stable").index[:TEN]]


def corrected(data: Path, folder: Path, name: str, cases: list[str]) -> None:
    """A copy of workspace `ten` in which the true labels of the cases were brought in."""
    root = folder / name
    if not (root / "grown").exists():
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(folder / "ten", root, symlinks=True)
        labels = link(folder / f"labels_{name}", [data / "labelsTr" / f"{case}.nii.gz" for case in cases])
        given = ("--predicted", folder / "masks", "--subjects", data / "subjects.tsv", "--jobs", 1)
        hippopt("correct", root, "Loop", "-i", folder / "thirty", "-p", labels, *given)
        hippopt("plan", root, "Loop", "--jobs", 1)
        (root / "grown").touch()


def scored(data: Path, folder: Path, arm: str, scans: Path, labels: Path) -> pd.DataFrame:
    root, run, _ = ARMS[arm]
    out = folder / "scored" / arm
    hippopt("predict", folder / root, "-d", "Loop", "--run", run, "-f", "full-data", "-i", scans, "-o", out)
    hippopt("evaluate", folder / root, "-p", out, "-l", labels, "-d", "Loop", "--jobs", 1)
    subjects = read_subjects(data / "subjects.tsv")
    table = foreground(read_case_table(out / "metrics.csv"))
    card = json.loads((folder / root / "results" / DATASET / run / "full_data" / "adapter.json").read_text())
    minutes = card["settings"]["seconds"] / 60
    return table.assign(row=arm, subject=[subjects[case] for case in table.case], minutes=minutes, steps=card["step"])


def one_seed(data: Path, folder: Path, seed: int, steps: int, folds: list[str], arms: list[str]) -> pd.DataFrame:
    """Scores of the arms on every scan of choose_on."""
    ten, thirty = draw(data, seed)
    first_run(data, folder, ten, steps, folds)
    found = order(data, folder, thirty)
    assert len(found.scans) == TEN, found
    lots = [str(case) for case in np.random.default_rng([seed, 1]).choice(thirty, TEN, replace=False)]
    truly = truly_worst(data, folder, thirty)
    print(f"seed {seed}: ordered by {found.measure}: {' '.join(found.scans)}; at random: {' '.join(sorted(lots))}")
    print(
        f"seed {seed}: {len(set(found.scans) & set(truly))} of the {TEN} marked are among the truly worst", flush=True
    )
    for name, chosen in (("worst", list(found.scans)), ("random", lots), ("oracle", truly)):
        corrected(data, folder, name, chosen)
    cases = json.loads((data / "splits.json").read_text())["choose_on"]
    scans = link(folder / "choose", [data / "imagesTr" / f"{case}.nii.gz" for case in cases])
    labels = link(folder / "choose_labels", [data / "labelsTr" / f"{case}.nii.gz" for case in cases])
    tables = []
    for arm in arms:
        root, _, options = ARMS[arm]
        if arm != "ten":
            hippopt("train", folder / root, "Loop", "full-data", "--resume", *options, "--steps", steps)
        tables.append(scored(data, folder, arm, scans, labels))
    return pd.concat(tables).assign(seed=seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--folds", nargs="+", default=["all"], metavar="FOLD", help="that order the thirty")
    parser.add_argument("--arms", nargs="+", choices=tuple(ARMS), default=list(ARMS), metavar="ARM")
    options = parser.parse_args()
    tables = []
    for seed in options.seeds:
        folder = options.workspace / f"seed_{seed}"
        tables.append(one_seed(options.data.resolve(), folder, seed, options.steps, options.folds, options.arms))
        every = pd.concat(tables, ignore_index=True)
        every.to_csv(options.workspace / "cases.csv", index=False)
        rows = compare(every, ["ten-long", "random", "anew"])
        costs = every.groupby("row")[["steps", "minutes"]].mean().round(1)
        rows = rows.merge(costs, left_on="row", right_index=True)
        rows.to_csv(options.workspace / "rows.csv", index=False)
        print(rows.drop(columns=[name for name in rows if "left_out" in name]).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
