"""The UNETR (Hatamizadeh et al. 2021, arXiv 2103.10504) as MONAI builds it, its sizes, and its kin of finer tokens or
without a transformer.

Only this file and its neighbours in this folder know MONAI's module paths.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hippopt.artifacts.plan import LAYERS, NetworkSettings
from hippopt.artifacts.triples import Voxels

if TYPE_CHECKING:
    import torch

DECODER = ("decoder5.", "decoder4.", "decoder3.", "decoder2.")  # of tokens of 8 the first is not there
HEAD = ("out.",)
# what a plan's `also_trained` calls parts of the network: patterns that begin or are found in parameter names
PARTS = {
    "decoder": r"decoder\d\.",
    "head": r"out\.",
    "norms": r"vit\.(norm|blocks\.\d+\.norm\d)\.",  # the convolutions' instance norms have no parameters
    "encoders": r"encoder\d\.",
}
# what methods train beyond the parts that a plan may name
WIDER = {"biases": r".*\.bias$", "all": ""}
# `norm_cross_attn` exists in MONAI >= 1.5 but is never used without cross-attention
UNUSED = "norm_cross_attn"

SIZES = {
    # the paper's (LoRA-PT, arXiv 2407.11292)
    "base": NetworkSettings(size="base", hidden_size=768, mlp_dim=3072, num_heads=12, feature_size=16),
    # feature size 16 as in the paper: 8 halves a step on a CPU, but needs several times the steps (docs/experiments.md)
    "small": NetworkSettings(size="small", hidden_size=192, mlp_dim=768, num_heads=6, feature_size=16),
    "tiny": NetworkSettings(size="tiny", hidden_size=48, mlp_dim=96, num_heads=3, feature_size=4),
}


def build_unetr(in_channels: int, out_channels: int, patch_size: Voxels, network: NetworkSettings) -> "torch.nn.Module":
    """Build a UNETR with random weights: (B, C, Z, Y, X) -> logits (B, classes, Z, Y, X). patch_size: multiples of the
    network's token size.

    Without a transformer its blocks are the identity and have no parameters: all else, random values included, is as
    with them.
    """
    if network.token_size == 8:
        from hippopt.networks.finer_unetr import FinerUNETR

        model: torch.nn.Module = FinerUNETR(in_channels, out_channels, patch_size, network)
    else:
        from monai.networks.nets import UNETR

        model = UNETR(
            in_channels=in_channels,
            out_channels=out_channels,
            img_size=patch_size,
            feature_size=network.feature_size,
            hidden_size=network.hidden_size,
            mlp_dim=network.mlp_dim,
            num_heads=network.num_heads,
            proj_type="conv",
            norm_name="instance",
            res_block=True,
            dropout_rate=0.0,
        )
    if not network.transformer:
        from torch import nn

        model.vit.blocks = nn.ModuleList(nn.Identity() for _ in range(LAYERS))  # type: ignore[union-attr]
    return model


def also_trained(names: Sequence[str], parts: Sequence[str]) -> list[str]:
    """The parameters, among `names`, of the parts: keys of PARTS or WIDER, or beginnings of names."""
    known = PARTS | WIDER
    patterns = [re.compile(known.get(part, re.escape(part))) for part in parts]
    return [name for name in names if any(pattern.match(name) for pattern in patterns)]


def token_grid(patch_size: Voxels, token_size: int) -> Voxels:
    """Number of tokens along Z, Y, X."""
    z, y, x = (size // token_size for size in patch_size)
    return (z, y, x)
