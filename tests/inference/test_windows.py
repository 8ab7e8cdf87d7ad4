"""Probabilities by windows: laws that hold for any network, on networks whose answer is known."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from monai.inferers.utils import sliding_window_inference
from torch import nn

from hippopt.artifacts.triples import Voxels
from hippopt.inference.windows import WindowSettings, flip_combinations, predict_probabilities
from hippopt.networks.unetr import build_unetr
from tests.records import TINY_NETWORK

PATCH = (16, 32, 16)
CPU = torch.device("cpu")


def noise(shape: Voxels, seed: int = 0) -> np.ndarray:
    """(1, Z, Y, X)."""
    return np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32)


class Pointwise(nn.Module):
    """Logits of a voxel from that voxel alone: no window and no flip may change its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(x))
        assert x.shape[2:] == PATCH
        return torch.cat([torch.zeros_like(x), x, x**2 - 1], 1)


class Sides(nn.Module):
    """Of four classes, 1 on the left half of the window (-x), 2
    on the right, 3 in its front half (+y) with some weight.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(x), 4, *x.shape[2:])
        half = x.shape[4] // 2
        logits[:, 1, :, :, :half] = 2
        logits[:, 2, :, :, half:] = 2
        logits[:, 3, :, x.shape[3] // 2 :] = 1
        return logits


def random_network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build_unetr(1, 3, PATCH, TINY_NETWORK)


def predict(models: Sequence[nn.Module], image: np.ndarray, **changes: object) -> np.ndarray:
    return predict_probabilities(models, image, WindowSettings(**{"patch_size": PATCH, "classes": 3, **changes}), CPU)  # type: ignore[arg-type]


SHAPES: list[Voxels] = [(16, 32, 16), (3, 7, 5), (1, 1, 1), (16, 33, 16), (20, 40, 30), (17, 65, 10), (40, 20, 50)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("flips", [(), ("x",), ("x", "y", "z")])
def test_every_voxel_is_covered_whatever_the_shape(shape: Voxels, flips: tuple[str, ...]) -> None:
    image = noise(shape)
    wanted = torch.softmax(torch.from_numpy(np.stack([np.zeros(shape, np.float32), image[0], image[0] ** 2 - 1])), 0)
    found = predict([Pointwise()], image, flips=flip_combinations(flips))
    assert found.shape == (3, *shape) and found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("shape", [(16, 32, 16), (9, 20, 30)])
def test_probabilities_sum_to_one(shape: Voxels) -> None:
    found = predict([random_network(0), random_network(1)], noise(shape), flips=flip_combinations(("x", "y")))
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)
    assert found.min() >= 0


@pytest.mark.parametrize("shape", [(16, 32, 16), (14, 20, 8), (2, 32, 16)])
def test_one_window_is_what_sliding_gives(shape: Voxels) -> None:
    image, model = noise(shape), random_network().eval()
    with torch.inference_mode():
        wanted = sliding_window_inference(
            torch.from_numpy(image)[None], PATCH, 1, lambda window: torch.softmax(model(window), 1), mode="gaussian"
        )
    np.testing.assert_allclose(predict([model], image), wanted[0], atol=1e-5)


def test_small_images_take_one_pass_and_large_ones_batches() -> None:
    model = Pointwise()
    predict([model], noise((5, 30, 16)))
    assert model.sizes == [1]
    model.sizes.clear()
    predict([model], noise((16, 64, 16)), batch=2)
    assert model.sizes == [2, 1]  # half steps of 16 along y: windows at 0, 16 and 32


@pytest.mark.parametrize("shape", [(16, 32, 16), (12, 20, 10), (16, 32, 32)])
def test_sides_are_swapped_back(shape: Voxels) -> None:
    image = noise(shape)
    plain = predict([Sides()], image, classes=4)
    # this network is its own mirror image once 1 and 2 are exchanged: flips along x change nothing
    np.testing.assert_allclose(
        predict([Sides()], image, classes=4, flips=((), ("x",)), swap=((1, 2),)), plain, atol=1e-6
    )
    np.testing.assert_allclose(
        predict([Sides()], image, classes=4, flips=(("z", "x"),), swap=((2, 1),)), plain, atol=1e-6
    )
    # without the swap the two sides are mixed
    mixed = predict([Sides()], image, classes=4, flips=((), ("x",)))
    np.testing.assert_allclose(mixed[1], mixed[2], atol=1e-6)
    # and a flip along y swaps nothing
    turned = predict([Sides()], image, classes=4, flips=(("y",),), swap=((1, 2),))
    np.testing.assert_allclose(turned, plain[:, :, ::-1], atol=1e-6)


def test_several_pairs_are_swapped() -> None:
    class Four(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.arange(5.0).reshape(1, 5, 1, 1, 1).expand(len(x), 5, *x.shape[2:])

    found = predict([Four()], noise(PATCH), classes=5, flips=(("x",),), swap=((1, 2), (3, 4)))
    wanted = torch.softmax(torch.tensor([0.0, 2, 1, 4, 3]), 0)
    np.testing.assert_allclose(found[:, 0, 0, 0], wanted, atol=1e-6)


@pytest.mark.parametrize("axes", [("x",), ("y",), ("z",), ("z", "y", "x")])
def test_flipping_the_image_flips_the_answer_under_all_flips(axes: tuple[str, ...]) -> None:
    image, model = noise((12, 30, 16)), random_network()
    flips = flip_combinations(("x", "y", "z"))
    dims = [1 + "zyx".index(axis) for axis in axes]
    plain = predict([model], image, flips=flips)
    flipped = predict([model], np.flip(image, dims), flips=flips)
    np.testing.assert_allclose(np.flip(flipped, dims), plain, atol=1e-5)


def test_models_are_averaged_and_left_in_evaluation_mode() -> None:
    models, image = [random_network(seed).train() for seed in range(3)], noise(PATCH)
    each = [predict([model], image) for model in models]
    np.testing.assert_allclose(predict(models, image), np.mean(each, 0), atol=1e-6)
    assert not any(model.training for model in models)


@pytest.mark.filterwarnings("error::UserWarning")
def test_read_only_and_mirrored_arrays_are_taken_as_they_are() -> None:
    image = noise((12, 20, 10))
    image.setflags(write=False)
    wanted = predict([Pointwise()], image)
    np.testing.assert_array_equal(predict([Pointwise()], image.astype(np.float64)), wanted)
    np.testing.assert_array_equal(predict([Pointwise()], image[..., ::-1]), wanted[..., ::-1])


def test_subsets_of_the_axes() -> None:
    assert flip_combinations(()) == ((),)
    assert {frozenset(axes) for axes in flip_combinations(("x", "y"))} == {
        frozenset(),
        frozenset("x"),
        frozenset("y"),
        frozenset("xy"),
    }
    assert len(flip_combinations(("x", "y", "z"))) == 8


class Bright(nn.Module):
    """Class 1 where the image is above 0; notes how many windows it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.windows = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.windows += len(x)
        return torch.cat([-9 * x, 9 * x, torch.full_like(x, -99)], 1)


def blob(shape: Voxels, low: Voxels, high: Voxels) -> np.ndarray:
    """(1, Z, Y, X), -1 but for a box of 1."""
    image = np.full((1, *shape), -1, np.float32)
    image[(0, *(slice(first, last) for first, last in zip(low, high, strict=True)))] = 1
    return image


# a patch of 16 x 32 x 16 in the middle of 20 x 40 x 16 holds rows 2 to 17 and 4 to 35, all of x
ROOMY: Voxels = (20, 40, 16)


@pytest.mark.parametrize(
    ("low", "high", "alone"),
    [
        ((5, 8, 0), (12, 30, 16), True),  # reaches the image's own edge along x, where the window cuts nothing
        ((3, 5, 3), (17, 35, 9), True),
        ((2, 8, 3), (12, 30, 9), False),  # touches a face that cuts the image
        ((5, 8, 3), (18, 30, 9), False),
        ((5, 8, 3), (12, 36, 9), False),
        ((0, 0, 0), (1, 3, 3), False),  # nothing in the middle
    ],
)
def test_the_middle_alone_where_what_it_shows_stays_clear_of_the_faces(low: Voxels, high: Voxels, alone: bool) -> None:
    models = [Bright(), Bright(), Bright()]
    image = blob(ROOMY, low, high)
    found = predict(models, image, centre=True)
    assert [model.windows for model in models] == ([1, 1, 1] if alone else [4 + 1, 4, 4])
    np.testing.assert_array_equal(found.argmax(0), image[0] > 0)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)
    everywhere = predict([Bright()], image)
    np.testing.assert_allclose(found, everywhere, atol=1e-5)


def test_the_middle_alone_where_every_network_is_clear_of_the_faces() -> None:
    """Whatever their order: one that finds nothing there must not decide for those that do."""

    class Shy(Bright):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x - 1)

    image = blob(ROOMY, (5, 8, 3), (12, 30, 9))
    image[0, 2, 10, 5] = 0.5  # at a face of the window; only Bright sees it
    found = [predict(models, image, centre=True) for models in ([Bright(), Shy(), Shy()], [Shy(), Bright(), Shy()])]
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    np.testing.assert_allclose(found[0], predict([Bright(), Shy(), Shy()], image), atol=1e-5)


def test_the_middle_alone_only_of_images_hardly_larger_than_the_patch() -> None:
    model = Bright()
    predict([model] * 3, blob((25, 40, 16), (10, 15, 3), (15, 20, 9)), centre=True)
    assert model.windows == 3 * 6  # 3 x 2 x 1
    model = Bright()
    predict([model] * 3, blob(ROOMY, (5, 8, 3), (12, 30, 9)))
    assert model.windows == 3 * 4


@pytest.mark.parametrize(("networks", "windows"), [(1, 4), (2, 4), (3, 1), (5, 1)])
def test_the_middle_alone_of_several_networks(networks: int, windows: int) -> None:
    model = Bright()
    predict([model] * networks, blob(ROOMY, (5, 8, 3), (12, 30, 9)), centre=True)
    assert model.windows == networks * windows


def test_flips_and_looks_see_the_middle_too() -> None:
    looks: list[tuple[int, tuple[str, ...]]] = []
    model, image = Bright(), blob(ROOMY, (5, 8, 3), (12, 30, 9))
    settings = WindowSettings(PATCH, 3, flip_combinations(("x",)), also_shown=(("y",),), shown_networks=1, centre=True)
    found = predict_probabilities(
        [model] * 3, image, settings, CPU, lambda number, axes, _: looks.append((number, axes))
    )
    assert looks == [(0, ()), (0, ("x",)), (0, ("y",)), (1, ()), (1, ("x",)), (2, ()), (2, ("x",))]
    assert model.windows == 7
    np.testing.assert_array_equal(found.argmax(0), image[0] > 0)
