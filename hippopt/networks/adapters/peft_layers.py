"""LoRA, DoRA, PiSSA and AdaLoRA, as the peft library makes them, on the weights that LoRA-PT stacks.

Hu et al. 2021 (arXiv 2106.09685), Liu et al. 2024 (2402.09353), Meng et al. 2024 (2404.02948), Zhang et al. 2023
(2303.10512). The scale of the product (alpha / rank) is 1 for all of them, so that a learning rate means the same at
every rank.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from hippopt.artifacts.methods import Method, check_package
from hippopt.artifacts.plan import AdapterSettings, NetworkSettings
from hippopt.lorapt import Stack, StackError
from hippopt.networks.adapters.protocol import Adapter
from hippopt.networks.stacks import linear_layers, plain_kernels, stack_ranks

ADAPTER = "default"  # peft's own name for a single adapter
# AdaLoRA's ranks: from 1.5 times the average at the end, as peft's defaults have it (12 to 8); they stay for a tenth of
# the steps, then fall until half of them are done; shared out anew some 400 times. The paper's schedules lie in this
# range
FIRST_RANK, WARM_SHARE, FINAL_SHARE, ALLOCATIONS = 1.5, 0.1, 0.5, 400


class Maker(Adapter):
    """A model with peft's layers in place of the linear layers and the convolutions of `stacks`, in place.

    initial: for pissa, its factors before training, in place of an SVD. Parameters are named as in the model, without
    peft's adapter name: `vit.blocks.0.attn.qkv.lora_A.weight`. Raises StackError where initial factors do not fit.
    """

    def __init__(
        self,
        model: nn.Module,
        method: Method,
        stacks: Sequence[Stack],
        settings: AdapterSettings,
        initial: Mapping[str, Tensor] | None = None,
    ) -> None:
        check_package(method)
        super().__init__(model, method, stacks, settings, initial)
        ranks = stack_ranks(settings.rank, stacks)
        self._convolutions = [
            path for stack in stacks for path in _layers(stack) if isinstance(model.get_submodule(path), _ConvNd)
        ]
        self._tuner = _inject(model, method, stacks, ranks, plain=initial is not None)
        self._factors = {
            name.replace(f".{ADAPTER}", ""): parameter
            for name, parameter in model.named_parameters()
            if "lora_" in name and parameter.requires_grad
        }
        if initial is not None:
            self._start_from(initial, [path for stack in stacks for path in _layers(stack)])
        self._initial = (
            {name: value.detach().cpu().clone() for name, value in self._factors.items()} if method == "pissa" else {}
        )
        self._shares_ranks = (
            method == "adalora" and self._tuner.rankallocator.init_bgt > self._tuner.rankallocator.target_bgt
        )
        self._regularised = method == "adalora"
        self._settled = False
        self._merged = False

    @classmethod
    def weights(
        cls, method: Method, model: nn.Module, network: NetworkSettings, settings: AdapterSettings
    ) -> list[Stack]:
        """The linear layers that the plan's stacks name, each whole, and its convolutions; peft adapts no transposed
        ones: they train whole.
        """
        return linear_layers(network.hidden_size, network.mlp_dim, settings.stacks) + plain_kernels(model, settings)

    @property
    def factors(self) -> dict[str, nn.Parameter]:
        """Trainable parameters by name."""
        return dict(self._factors)

    def initial_state(self) -> dict[str, Tensor]:
        """For pissa the factors before training: with them and the base, the residual is restored without a
        second SVD.
        """
        return dict(self._initial)

    def merge(self) -> nn.Module:
        """Plain layers again, with what was trained in their weights."""
        if not self._merged:
            for path in self._convolutions:
                self._merge_convolution(path)
            self._tuner.merge_and_unload()
            self._merged = True
        return self.model

    def penalty(self) -> Tensor | None:
        """AdaLoRA's orthogonal regularisation (its equation 4), the
        mean over matrices as peft computes it; None for the others.
        """
        if not self._regularised:
            return None
        gaps = []
        for name, factor in self._factors.items():
            if "lora_E" not in name:
                product = factor @ factor.T if "lora_A" in name else factor.T @ factor
                gaps.append(torch.linalg.norm(product - torch.eye(len(product), device=product.device)))
        return self._config.orth_reg_weight * torch.stack(gaps).mean()

    def after_update(self, updates: int, total: int) -> None:
        """Share the ranks out after an update of the weights, while its
        gradients are there. updates: done so far; total: planned.
        """
        if not self._shares_ranks:
            return
        self._to_device()
        config = self._config
        config.total_step, config.tfinal, config.tinit = total, int(total * FINAL_SHARE), int(total * WARM_SHARE)
        config.deltaT = max(1, total // ALLOCATIONS)
        last = total - config.tfinal
        # peft settles the ranks when it is called with that very number, which skipped steps or another total could
        # jump over
        step = last + 1 if self._settled else min(updates, last)
        self._tuner.update_and_allocate(step)
        self._settled = step >= last

    def resume_state(self) -> dict[str, Tensor]:
        """What AdaLoRA knows besides the factors: importances while ranks change, the masks once they are settled."""
        if not self._shares_ranks:
            return {}
        if self._settled:
            return {f"mask.{name}": torch.tensor(mask) for name, mask in self._config.rank_pattern.items()}
        allocator = self._tuner.rankallocator
        found = {"importance": allocator.exp_avg_ipt, "uncertainty": allocator.exp_avg_unc}
        return {f"{kind}.{name}": value.cpu() for kind, values in found.items() for name, value in values.items()}

    def load_resume_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `resume_state` gave. Raises KeyError where the method keeps none."""
        if not tensors:
            return
        if not self._shares_ranks:
            raise KeyError(next(iter(tensors)))
        allocator = self._tuner.rankallocator
        for key, value in tensors.items():
            kind, _, name = key.partition(".")
            if kind == "mask":
                self._config.rank_pattern = {**(self._config.rank_pattern or {}), name: value.tolist()}
                self._settled = True
            else:
                averages = allocator.exp_avg_ipt if kind == "importance" else allocator.exp_avg_unc
                averages[name] = value.clone()
                allocator.ipt[name] = torch.zeros_like(averages[name])  # a name that is there is not begun anew

    def _merge_convolution(self, path: str) -> None:
        """The kernel W + B A, B being one by one by one, by our own arithmetic:
        peft trains kernels of one voxel but fails to merge them.
        """
        layer: Any = self.model.get_submodule(path)
        down, up = (self._factors[f"{path}.lora_{side}.weight"].detach() for side in "AB")
        with torch.no_grad():
            change = torch.einsum("or,ri...->oi...", up.flatten(1), down)
            layer.base_layer.weight.add_(layer.scaling[ADAPTER] * change)
        parent, _, name = path.rpartition(".")
        setattr(self.model.get_submodule(parent), name, layer.base_layer)

    def _to_device(self) -> None:
        """What was read from a file goes where the model went since."""
        allocator, device = self._tuner.rankallocator, next(iter(self._factors.values())).device
        for values in (allocator.ipt, allocator.exp_avg_ipt, allocator.exp_avg_unc):
            values |= {name: value.to(device) for name, value in values.items()}

    @property
    def _config(self) -> Any:
        return self._tuner.peft_config[ADAPTER]

    def _start_from(self, initial: Mapping[str, Tensor], layers: Sequence[str]) -> None:
        """Take over the factors A and B, and leave the residual W - B A in the layers."""
        if set(initial) != set(self._factors):
            raise StackError(f"initial factors of other layers ({sorted(set(initial) ^ set(self._factors))[0]})")
        for name, factor in self._factors.items():
            if factor.shape != initial[name].shape:
                raise StackError(
                    f"{name}: initial factors {tuple(initial[name].shape)} do not fit {tuple(factor.shape)}"
                )
        with torch.no_grad():
            for name, factor in self._factors.items():
                factor.copy_(initial[name])
            for layer in layers:
                down, up = (self._factors[f"{layer}.lora_{side}.weight"] for side in "AB")
                self.model.get_submodule(layer).base_layer.weight.sub_(up @ down)  # type: ignore[union-attr, operator]


def _layers(stack: Stack) -> list[str]:
    return [slot.parameter.removesuffix(".weight") for slot in stack.slots]


def _inject(model: nn.Module, method: Method, stacks: Sequence[Stack], ranks: Mapping[str, int], plain: bool) -> Any:
    """peft's tuner after it has changed the model. plain: leave the weights as they are, whatever the method."""
    import peft

    layers = {layer: ranks[stack.name] for stack in stacks for layer in _layers(stack)}
    if method == "adalora":
        sides = [min(model.get_submodule(layer).weight.shape) for layer in layers]  # type: ignore[arg-type, union-attr]
        rank = max(layers.values())
        first = max(rank, min(math.ceil(FIRST_RANK * rank), *sides))
        settings = {
            "target_modules": list(layers),
            "target_r": rank,
            "init_r": first,
            "lora_alpha": first,
            "total_step": 1,
        }
        return peft.AdaLoraModel(model, peft.AdaLoraConfig(**settings), ADAPTER)
    rank = max(layers.values())
    other = {layer: its for layer, its in layers.items() if its != rank}
    config = peft.LoraConfig(
        target_modules=list(layers),
        r=rank,
        lora_alpha=rank,
        rank_pattern=other,
        alpha_pattern=dict(other),
        use_dora=method == "dora",
        init_lora_weights="pissa" if method == "pissa" and not plain else True,
    )
    return peft.LoraModel(model, config, ADAPTER)
