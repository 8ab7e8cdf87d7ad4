"""A head begun from the base's classes."""

import pytest
import torch

from hippopt.artifacts.plan import NetworkSettings
from hippopt.networks.heads import HEAD_BIAS, HEAD_WEIGHT, begin_head, head_fits, similar_classes
from hippopt.networks.unetr import build_unetr

BASE = ("background", "hippocampus_anterior", "hippocampus_posterior", "amygdala", "white_matter")


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        (("background", "Anterior", "Posterior"), [[0, 3, 4], [1], [2]]),
        (("background", "hippocampus_left", "hippocampus_right"), [[0, 3, 4], [1, 2], [1, 2]]),
        (("background", "head", "body", "tail"), [[0, 3, 4], [1], [2], [2]]),
        (("background", "left_hippocampus_head", "Right-Amygdala"), [[0, 2, 4], [1], [3]]),
        (("background", "tumour"), [[0, 1, 2, 3, 4], []]),
        (("background", "1"), [[0, 1, 2, 3, 4], []]),
    ],
)
def test_names_that_mean_the_same(wanted: tuple[str, ...], rows: list[list[int]]) -> None:
    assert similar_classes(BASE, wanted) == rows


def test_a_head_of_other_rows_is_not_begun_from() -> None:
    """Another feature size, or another number of classes than the card names."""
    network = NetworkSettings(size="tiny", hidden_size=48, mlp_dim=96, num_heads=3, feature_size=4)
    wider = NetworkSettings(size="custom", hidden_size=48, mlp_dim=96, num_heads=3, feature_size=8)
    model, base = build_unetr(1, 3, (16, 16, 16), network), build_unetr(1, 5, (16, 16, 16), network).state_dict()
    assert head_fits(model, base, 5) and not head_fits(model, base, 4) and not head_fits(model, {}, 5)
    assert not head_fits(build_unetr(1, 3, (16, 16, 16), wider), base, 5)


def test_rows_are_means_of_the_bases(tmp_path: object) -> None:
    """What is found begins from the base, what is not stays as it
    was; a base of one class a label gives the base's own logits.
    """
    network = NetworkSettings(size="tiny", hidden_size=48, mlp_dim=96, num_heads=3, feature_size=4)
    model, base = build_unetr(1, 3, (16, 16, 16), network), build_unetr(1, 5, (16, 16, 16), network)
    random = model.state_dict()[HEAD_WEIGHT][2].clone()
    state = {name: value.half() for name, value in base.state_dict().items()}
    begin_head(model, state, [[0, 3], [1], []])
    weight, bias = model.state_dict()[HEAD_WEIGHT], model.state_dict()[HEAD_BIAS]
    assert torch.allclose(weight[1], state[HEAD_WEIGHT][1].float()) and torch.allclose(
        bias[1], state[HEAD_BIAS][1].float()
    )
    assert torch.allclose(weight[0], (state[HEAD_WEIGHT][0].float() + state[HEAD_WEIGHT][3].float()) / 2)
    assert torch.equal(weight[2], random)
