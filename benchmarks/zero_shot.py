"""What does a base segment without any training? Dice of the whole outline of the hippocampus, on scans and maps that
it never saw.

    python benchmarks/zero_shot.py BASE [BASE ...] [--data DIR] [--maps DIR ...] [--save SHEET.png]

BASE: a base file, a name of a shipped one, or a resume file of a running hippopt_pretrain with --like a base of the
same network. --data: the folder with Task04_Hippocampus (its `choose_on` cases, front and back merged) and
MALC2012_train (crops of one patch around the true place of either side). --maps: folders of label maps, of which the
last two are made into scans. One window per scan, as a crop of that size would be predicted; no test-time flips, no
cleaning.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

MAP_BATCHES = 6
MALC_SIDES = {"right": 47, "left": 48}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", nargs="+", help="a base file, a shipped name, or a resume file")
    parser.add_argument("--like", default="synthetic-small", help="the base whose network a resume file has")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--maps", type=Path, nargs="*", default=[])
    parser.add_argument("--cases", default="choose_on", help="list of splits.json")
    parser.add_argument("--every", type=int, default=1, help="take every Nth scan only")
    options = parser.parse_args()
    from hippopt.artifacts.plan import NormalisationSettings

    scans: dict[str, list[tuple[str, np.ndarray, np.ndarray]]] = {}
    models = [(path, *_model(path, options.like)) for path in options.base]
    patch = models[0][2].patch_size
    nonzero = NormalisationSettings(scheme="zscore", region="nonzero", clip_percentiles=(0.5, 99.5))
    scans["Task04"] = _task04(options.data / "Task04_Hippocampus", options.cases, patch, models[0][2].normalisation)[
        :: options.every
    ]
    scans["MALC"] = _malc(options.data / "MALC2012_train", patch, nonzero)[:: options.every]
    for folder in options.maps:
        scans[folder.name] = _maps(folder, patch)
    for path, model, _ in models:
        print(path)
        for name, cases in scans.items():
            found = [_outline(model, image) for _, image, _ in cases]
            dice = np.array([_dice(mask, label) for mask, (_, _, label) in zip(found, cases, strict=True)])
            ratio = np.mean([mask.sum() / label.sum() for mask, (_, _, label) in zip(found, cases, strict=True)])
            worst = ", ".join(f"{cases[i][0]} {dice[i]:.2f}" for i in np.argsort(dice)[:3])
            print(
                f"  {name:24s} {len(cases):3d} windows: Dice {dice.mean():.4f} (sd {dice.std():.3f}), volume"
                f" {ratio:.2f} of the true one; least {worst}",
                flush=True,
            )


def _model(path: str, like: str) -> tuple[Any, Any]:
    """(network in float32, card)."""
    from safetensors.torch import load_file

    from hippopt.networks.base_files import read_base, shipped_base
    from hippopt.networks.base_weights import load_base
    from hippopt.networks.unetr import UNUSED, build_unetr

    known = shipped_base(path) or Path(path)
    resumed = not known.with_suffix(".json").exists()
    tensors, card = read_base(shipped_base(like) or Path(like)) if resumed else read_base(known)
    model = build_unetr(card.in_channels, card.out_channels, card.patch_size, card.network)
    load_base(
        model, {name: value.float() for name, value in tensors.items()}, card.patch_size, card.patch_size, card.name
    )
    if resumed:
        stored = load_file(known)
        names = dict(model.named_parameters())
        missing = model.load_state_dict({name: value for name, value in stored.items() if name in names}, strict=False)
        assert not [name for name in missing.missing_keys if name in names and UNUSED not in name], missing
    return model.eval(), card


def _outline(model: Any, image: np.ndarray) -> np.ndarray:
    import torch

    from hippopt.batches.label_maps import ANTERIOR, POSTERIOR

    with torch.inference_mode():
        found = model(torch.from_numpy(image)[None, None])[0].argmax(0).numpy()
    return (found == ANTERIOR) | (found == POSTERIOR)


def _dice(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * (first & second).sum() / max(1, first.sum() + second.sum()))


def _read(path: Path) -> np.ndarray:
    from hippopt.files.image_io import read_scan
    from hippopt.imaging.orientation import to_ras

    scan = read_scan(path)
    return np.ascontiguousarray(to_ras(scan.array, scan.grid))


def _window(array: np.ndarray, middle: np.ndarray, patch: tuple[int, int, int]) -> np.ndarray:
    """A patch around `middle`, with zeros beyond the array."""
    start = np.rint(middle - np.array(patch) / 2).astype(int)
    out = np.zeros(patch, array.dtype)
    there = [slice(max(0, a), max(0, min(a + n, size))) for a, n, size in zip(start, patch, array.shape, strict=True)]
    put = tuple(slice(s.start - a, s.stop - a) for s, a in zip(there, start, strict=True))
    out[put] = array[tuple(there)]
    return out


def _task04(
    folder: Path, cases: str, patch: tuple[int, int, int], normalisation: Any
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    from hippopt.imaging.preparation import normalise

    made = []
    for case in json.loads((folder / "splits.json").read_text())[cases]:
        image, label = (_read(folder / kind / f"{case}.nii.gz") for kind in ("imagesTr", "labelsTr"))
        seen = normalise(image[None].astype(np.float32), normalisation)[0]
        middle = np.array(image.shape) / 2
        made.append((case, _window(seen, middle, patch), _window(label, middle, patch) > 0))
    return made


def _malc(folder: Path, patch: tuple[int, int, int], normalisation: Any) -> list[tuple[str, np.ndarray, np.ndarray]]:
    from hippopt.imaging.preparation import normalise

    made = []
    for path in sorted((folder / "images").glob("*.nii.gz")):
        image, label = _read(path), _read(folder / "labels" / path.name)
        for side, value in MALC_SIDES.items():
            places = np.argwhere(label == value)
            middle = (places.min(0) + places.max(0) + 1) / 2
            crop = _window(image.astype(np.float32), middle, patch)
            made.append(
                (
                    f"{path.name.split('.')[0]} {side}",
                    normalise(crop[None], normalisation)[0],
                    _window(label, middle, patch) == value,
                )
            )
    return made


def _maps(folder: Path, patch: tuple[int, int, int]) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Scans with T1-like contrast of the last two maps of a folder, with the default ranges."""
    import tempfile

    import torch

    from hippopt.artifacts.synthesis import SynthesisSettings
    from hippopt.batches.label_maps import ANTERIOR, POSTERIOR, read_label_maps, read_table
    from hippopt.batches.synthesis import Synthesiser, synthetic_batch
    from hippopt.console import SilentConsole

    with tempfile.TemporaryDirectory() as place:
        for path in sorted(folder.glob("*.nii.gz"))[-2:]:
            (Path(place) / path.name).symlink_to(path.absolute())
        maps = read_label_maps(Path(place), read_table(), SilentConsole())
    made = Synthesiser(maps, SynthesisSettings(patch_size=patch, share_t1=1.0), torch.device("cpu"))
    scans = []
    for index in range(MAP_BATCHES):
        batch = synthetic_batch(made, 2, 2**31, index)
        for image, label, name in zip(batch["image"], batch["label"], batch["cases"], strict=True):
            hippocampus = (label[0] == ANTERIOR) | (label[0] == POSTERIOR)
            scans.append((name, image[0].numpy(), hippocampus.numpy()))
    return scans


if __name__ == "__main__":
    main()
