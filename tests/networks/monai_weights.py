"""Weights as MONAI's UNETRs of other versions store them: their keys and shapes, and what such a network computes.

`monai_unetr_versions.json` was recorded from the released packages. To record it anew, with each wheel unpacked in a
folder:

    for version in 0.6.0 0.9.1 1.2.0 1.3.2 1.4.0 1.5.1 1.6.1; do
        pip download monai==$version --no-deps -d wheels && unzip -q wheels/monai-$version-*.whl 'monai/*' -d $version
        PYTHONPATH=$version:. python -m tests.networks.monai_weights
    done

Every value follows from its key, so that no weights need storing: the recorded output is that of the released code
itself.
"""

import inspect
import json
import math
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

RECORD = Path(__file__).with_name("monai_unetr_versions.json")
LAYER = re.compile(r"^vit\.blocks\.\d+\.")
SIZES: dict[str, Any] = {"feature_size": 4, "hidden_size": 48, "mlp_dim": 96, "num_heads": 3}
PATCH = (32, 32, 32)
CLASSES = 2


def values_of(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """float32 values that follow from the key alone, of the size of trained weights."""
    draw = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    fan = math.prod(shape[1:]) if len(shape) > 1 else 16
    return torch.from_numpy(draw / np.float32(math.sqrt(max(fan, 1))))


def state_of(keys: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """A state dict; `*` in a key stands for each of the 12 layers."""
    whole = {
        key.replace("*", str(layer)): tuple(shape)
        for key, shape in keys.items()
        for layer in (range(12) if "*" in key else [0])
    }
    return {key: values_of(key, shape) for key, shape in whole.items()}


def image() -> torch.Tensor:
    """(1, 1, 32, 32, 32)."""
    return torch.from_numpy(np.random.default_rng(0).standard_normal((1, 1, *PATCH)).astype(np.float32))


def sample(logits: torch.Tensor) -> list[float]:
    """A value in each corner of each class."""
    return [round(float(value), 5) for value in logits[0, :, 3::25, 3::25, 3::25].reshape(-1)]


def main() -> None:
    import monai
    from monai.networks.nets import UNETR

    known = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    accepted = inspect.signature(UNETR.__init__).parameters
    for projection in ("conv", "perceptron"):
        option = "proj_type" if "proj_type" in accepted else "pos_embed"  # renamed in 1.3
        network = UNETR(
            in_channels=1,
            out_channels=CLASSES,
            img_size=PATCH,
            norm_name="instance",
            conv_block=True,
            res_block=True,
            **SIZES,
            **{option: projection},
        ).eval()
        keys = {LAYER.sub("vit.blocks.*.", key): list(value.shape) for key, value in network.state_dict().items()}
        network.load_state_dict(state_of(keys))
        with torch.inference_mode():
            logits = network(image())
        known[f"{monai.__version__} {projection}"] = {
            "parameters": sum(value.numel() for value in network.state_dict().values()),
            "output": sample(logits[0] if isinstance(logits, tuple) else logits),
            "keys": keys,
        }
    lines = [f"{json.dumps(name)}: {json.dumps(known[name])}" for name in sorted(known)]
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
