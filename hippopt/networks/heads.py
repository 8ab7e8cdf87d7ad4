"""The head for the labels at hand, begun from what the base's own classes mean.

A random head sends random gradients through a decoder that was trained with care; rows of classes that mean nearly the
same spare it that (docs/experiments.md).
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hippopt.artifacts.sides import SIDE_WORDS

if TYPE_CHECKING:
    import torch

HEAD_WEIGHT, HEAD_BIAS = "out.conv.conv.weight", "out.conv.conv.bias"
MEANING = {"head": "anterior", "body": "posterior", "tail": "posterior", "front": "anterior", "back": "posterior"}


def similar_classes(base: Sequence[str], wanted: Sequence[str]) -> list[list[int]]:
    """For each wanted class the base's classes that it may begin from: those whose names hold all its words, sides
    apart.

    `hippocampus_left` begins from `hippocampus_anterior` and `hippocampus_posterior`, `anterior` from the first alone,
    the background from the base's background and all that no other class takes; a name unknown to the base from none.
    """
    words = [_words(name) for name in base]
    found = [[i for i, have in enumerate(words) if i > 0 and need and need <= have] for need in map(_words, wanted)]
    taken = {i for rows in found[1:] for i in rows}
    found[0] = [i for i in range(len(base)) if i not in taken]
    return found


def _words(name: str) -> set[str]:
    parts = re.findall(r"[a-z]+", name.lower())
    return {MEANING.get(part, part) for part in parts} - set(SIDE_WORDS)


def head_fits(model: "torch.nn.Module", base: Mapping[str, "torch.Tensor"], classes: int) -> bool:
    """Whether the base has a head of so many classes whose rows are as long as the model's."""
    weight, bias = base.get(HEAD_WEIGHT), base.get(HEAD_BIAS)
    if weight is None or bias is None or len(weight) != classes or len(bias) != classes:
        return False
    return weight.shape[1:] == model.state_dict()[HEAD_WEIGHT].shape[1:]


def begin_head(model: "torch.nn.Module", base: Mapping[str, "torch.Tensor"], rows: Sequence[Sequence[int]]) -> None:
    """Write the mean of the base's rows into each row of the head, in place; rows without a source stay as they are."""
    import torch

    own = model.state_dict()
    with torch.no_grad():
        for index, sources in enumerate(rows):
            if sources:
                own[HEAD_WEIGHT][index] = base[HEAD_WEIGHT][list(sources)].float().mean(0)
                own[HEAD_BIAS][index] = base[HEAD_BIAS][list(sources)].float().mean()
