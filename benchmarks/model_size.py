"""Bytes of a model of five folds beside its base: the exported file, and what prediction needs on disk once installed.

    python benchmarks/model_size.py [--size base] [--rank 4] [--steps 1] [--threads 2]

The base has random weights (float32, 128 x 128 x 128, one channel, two classes: as the paper's), the folds are trained
for a step or a few on the demo's synthetic scans: sizes do not depend on what was learned. Everything is made by the
commands that users run.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

LIMIT = 1.25  # of the base


def megabytes(paths: list[Path]) -> float:
    return sum(path.stat().st_size for path in paths) / 1e6


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def run(command: str, *arguments: object) -> None:
    """A command of hippopt in this process; ends the benchmark where it fails."""
    import importlib

    print(f"$ hippopt_{command.removesuffix('_dataset')} {' '.join(map(str, arguments))}", flush=True)
    code = importlib.import_module(f"hippopt.cli.{command}").main([str(argument) for argument in arguments])
    if code:
        sys.exit(code)


def make_model(root: Path, options: argparse.Namespace) -> None:
    """A base with random weights and five folds of a step or a few on it."""
    import torch
    from safetensors.torch import save_file

    from hippopt.console import SilentConsole
    from hippopt.networks.unetr import SIZES, build_unetr
    from hippopt.recipes.demo import make_scans

    torch.set_num_threads(options.threads)
    make_scans(root / "labelled", root / "new", root / "truth", 0, SilentConsole())
    torch.manual_seed(0)
    state = build_unetr(1, 2, (128, 128, 128), SIZES[options.size]).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, root / "random.safetensors")
    source = root / "labelled"
    run(
        "import_dataset",
        source,
        "--id",
        1,
        "--name",
        "Sizes",
        "--labels",
        "anterior=1",
        "posterior=2",
        "--subjects",
        source / "subjects.tsv",
        "--root",
        root,
    )
    run("plan", "Sizes", "--root", root, "--set", f"network.size={options.size}", "patch_size=48,64,48", "batch_size=1")
    run(
        "train",
        "Sizes",
        "all",
        "--root",
        root,
        "--base",
        root / "random.safetensors",
        "--rank",
        options.rank,
        "--steps",
        options.steps,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base")
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root, elsewhere, file = Path(name) / "here", Path(name) / "elsewhere", Path(name) / "model.zip"
        root.mkdir()
        make_model(root, options)
        run("export", "Sizes", file, "--root", root)
        run("install", file, "--root", elsewhere)
        (base,) = [path for path in (elsewhere / "results" / "bases").glob("*.safetensors") if "-rank" not in path.name]
        (model,) = elsewhere.glob("results/Dataset001_Sizes/*")
        trained = root / "results" / "Dataset001_Sizes" / model.name
        unit = megabytes([base])
        rows = {
            "base, float32": [base],
            "initial factors": [model / "initial.safetensors"],
            "one fold: trained factors, decoder, head, positions": [model / "fold_0" / "adapter.safetensors"],
            "five folds": list(model.glob("fold_*/adapter.safetensors")),
            "exported file": [file],
            "installed: all that prediction needs": files(elsewhere / "results"),
            "cached decomposition (not needed by prediction)": list(
                (root / "results" / "bases").glob("*-rank*.safetensors")
            ),
            "best checkpoints (not exported unless asked for)": list(trained.glob("fold_*/adapter_best.safetensors")),
        }
        print(f"\n{options.size} network, rank {options.rank}, {len(list(model.glob('fold_*')))} folds")
        print(f"{'what':<55}{'MB':>9}{'of the base':>13}")
        for what, paths in rows.items():
            print(f"{what:<55}{megabytes(paths):>9.1f}{megabytes(paths) / unit:>13.3f}")
        worst = max(megabytes(rows[what]) / unit for what in ("exported file", "installed: all that prediction needs"))
        print(f"limit {LIMIT}: {'kept' if worst <= LIMIT else 'EXCEEDED'}")
        sys.exit(worst > LIMIT)


if __name__ == "__main__":
    main()
