"""What trains under a method, and what restores it."""

import pytest
import torch

from hippopt.artifacts.plan import AdapterSettings
from hippopt.errors import WeightsError
from hippopt.networks.tuning import tune
from hippopt.networks.unetr import build_unetr
from tests.records import TINY_NETWORK

PATCH = (16, 32, 16)
SETTINGS = AdapterSettings(
    rank=2, stacks=("attention", "mlp_up", "mlp_down"), core="diagonal", balance=True, also_trained=("decoder", "out.")
)


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_unetr(1, 3, PATCH, TINY_NETWORK).eval()


def test_trained_factors_are_restored_with_their_initial_ones_alone() -> None:
    tuned = tune(network(), "lora-pt", TINY_NETWORK, SETTINGS, ())
    assert tuned.adaptation is not None
    with torch.no_grad():
        for parameter in tuned.trainable().values():
            parameter.add_(0.01 * torch.randn_like(parameter))
    stored, initial = tuned.adapter_tensors(), tuned.adaptation.initial_state()
    assert not any(name.startswith("initial") for name in stored)
    restored = tune(network(), "lora-pt", TINY_NETWORK, SETTINGS, (), initial, stored)
    image = torch.randn(1, 1, *PATCH)
    with torch.inference_mode():
        assert torch.equal(restored.model(image), tuned.model(image))
    with pytest.raises(WeightsError, match="initial factors are missing"):
        tune(network(), "lora-pt", TINY_NETWORK, SETTINGS, (), None, stored)


@pytest.mark.parametrize("change", ["missing", "stray", "shape"])
def test_tensors_that_do_not_fit_are_refused(change: str) -> None:
    stored = tune(network(), "decoder", TINY_NETWORK, SETTINGS, ()).adapter_tensors()
    if change == "missing":
        stored.pop("rest.out.conv.conv.bias")
    elif change == "stray":
        stored["initial.attention.u"] = torch.zeros(1)  # as adapter files held them before
    else:
        stored["rest.out.conv.conv.bias"] = torch.zeros(7)
    with pytest.raises(WeightsError, match="initial.attention.u" if change == "stray" else r"out\.conv\.conv\.bias"):
        tune(network(), "decoder", TINY_NETWORK, SETTINGS, (), None, stored)
