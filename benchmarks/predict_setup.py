"""What benchmarks/predict.py compares: five folds of hippopt and of nnU-Net v2, for crops and for whole brains.

    python -m benchmarks.predict_setup SETUP --nnunet-env DIR --crops SOURCE --brains SOURCE --labels
    hippocampus_left=48 hippocampus_right=47
        [--subjects TABLE.tsv] [--only crops] [--steps 20] [--locator-steps N] [--jobs N]

SOURCE: labelled scans as hippopt_import takes them; --labels picks structures of the whole brains, --subjects is of the
crops. In SETUP, which must be outside a checkout, are then the workspaces `crops` and `brains`, and `nnunet` with
nnU-Net's three folders, whose raw data are links to the workspaces'. Networks train a few steps only, since nothing but
their time is measured; the locators train as planned, for they decide where hippopt looks: after 150 of 400 steps the
scan tried was not located, and hippopt looked everywhere. nnU-Net plans the same data sets, and its networks are saved
as it initialises them. A data set that is there already is kept as far as it goes.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

DATASETS = {"crop": "Dataset004_Hippocampus", "brain": "Dataset012_Malc"}
ROOT = Path(__file__).resolve().parent.parent


def hippopt(command: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """A command of this checkout, and its environment."""
    return [str(Path(sys.executable).parent / f"hippopt_{command}"), *arguments], {
        **os.environ,
        "PYTHONPATH": str(ROOT),
    }


def nnunet(environment: Path, command: str, *arguments: str) -> list[str]:
    return [str(environment / "bin" / f"nnUNetv2_{command}"), *arguments]


def nnunet_environment(setup: Path, threads: int) -> dict[str, str]:
    """nnU-Net's folders, and as many threads as asked for: it takes the lower of this and the machine's cores."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    folders = {f"nnUNet_{name}": str(setup / "nnunet" / name) for name in ("raw", "preprocessed", "results")}
    return {**kept, **folders, "nnUNet_def_n_proc": str(threads)}


def call(command: list[str], environment: dict[str, str]) -> None:
    print("$", " ".join(command), flush=True)
    subprocess.run(command, env=environment, check=True)


def prepare_hippopt(options: argparse.Namespace, kind: str) -> None:
    """Import, plan, and train five folds for a few steps."""
    workspace, (dataset, source) = options.setup / f"{kind}s", (DATASETS[kind], getattr(options, f"{kind}s"))
    workspace.mkdir(parents=True, exist_ok=True)
    root, (_, name) = ("--root", str(workspace)), dataset.split("_")
    if not (workspace / "raw_data" / dataset).exists():
        more = ["--labels", *options.labels] if kind == "brain" and options.labels else []
        more += ["--subjects", str(options.subjects)] if kind == "crop" and options.subjects else []
        call(*hippopt("import", str(source), "--id", str(int(dataset[7:10])), "--name", name, *more, *root))
    settings = ["--set", f"locator.steps={options.locator_steps}"] if kind == "brain" and options.locator_steps else []
    if not (workspace / "results" / dataset).exists():
        call(*hippopt("plan", dataset, *root))
        if settings:
            call(*hippopt("plan", dataset, *settings, *root))
    jobs: tuple[str, ...] = ("--jobs", str(options.jobs)) if options.jobs else ()
    if len(list((workspace / "results" / dataset).glob("*/fold_*/summary.json"))) < 5:
        begun = list((workspace / "results" / dataset).glob("*/fold_*"))
        jobs += ("--resume",) if begun else ("--steps", str(options.steps))
        call(*hippopt("train", dataset, "all", "--device", "cpu", *jobs, *root))


def prepare_nnunet(options: argparse.Namespace, kind: str) -> None:
    """Plan the same raw data, and save networks for five folds."""
    dataset, home = DATASETS[kind], options.setup / "nnunet"
    environment = nnunet_environment(options.setup, options.jobs or 2)
    for name in ("raw", "preprocessed", "results"):
        (home / name).mkdir(parents=True, exist_ok=True)
    link = home / "raw" / dataset
    if not link.is_symlink():
        link.symlink_to(options.setup / f"{kind}s" / "raw_data" / dataset)
    if not (home / "preprocessed" / dataset / "nnUNetPlans.json").exists():
        workers = str(options.jobs or 2)
        number = str(int(dataset[7:10]))
        call(nnunet(options.nnunet_env, "plan_and_preprocess", "-d", number, "--no_pp", "-npfp", workers), environment)
    if len(list((home / "results" / dataset).glob("*3d_fullres/fold_*/checkpoint_final.pth"))) < 5:
        python = str(options.nnunet_env / "bin" / "python")
        call([python, str(ROOT / "benchmarks" / "nnunet_checkpoints.py"), dataset], environment)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("setup", type=Path, metavar="SETUP")
    parser.add_argument(
        "--nnunet-env", type=Path, required=True, metavar="DIR", help="virtual environment with nnU-Net v2"
    )
    parser.add_argument("--crops", type=Path, metavar="SOURCE")
    parser.add_argument("--brains", type=Path, metavar="SOURCE")
    parser.add_argument(
        "--labels", nargs="+", metavar="NAME=VALUE", help="structures of the whole brains' parcellation"
    )
    parser.add_argument("--subjects", type=Path, metavar="TABLE", help="subjects of the crops")
    parser.add_argument("--only", choices=("crops", "brains"))
    parser.add_argument("--steps", type=int, default=20, help="of each fold (default: 20)")
    parser.add_argument("--locator-steps", type=int, help="of each fold's locator (default: the plan's)")
    parser.add_argument("--jobs", type=int, help="folds side by side, and nnU-Net's workers")
    options = parser.parse_args()
    options.setup, options.nnunet_env = options.setup.resolve(), options.nnunet_env.resolve()
    for kind in [options.only[:-1]] if options.only else ["crop", "brain"]:
        if not getattr(options, f"{kind}s"):
            parser.error(f"--{kind}s is needed")
        prepare_hippopt(options, kind)
        prepare_nnunet(options, kind)
    print(f"next: python -m benchmarks.predict {options.setup} --nnunet-env {options.nnunet_env}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
