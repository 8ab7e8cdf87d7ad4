"""A base used as it is: its classes' probabilities are added up, and its windows normalised."""

import msgspec
import numpy as np
import torch
from scipy import ndimage
from torch import nn

from hippopt.artifacts.plan import NormalisationSettings
from hippopt.artifacts.weights import AsBase
from hippopt.networks.as_base import MOST_MOVED, AsBaseNetwork, as_planned, normalised, smoothed

ZSCORE = NormalisationSettings(scheme="zscore", region="nonzero", clip_percentiles=(0.5, 99.5))
UNCLIPPED = NormalisationSettings(scheme="zscore", region="nonzero", clip_percentiles=(0.0, 100.0))


def test_probabilities_of_the_classes_are_added_up() -> None:
    torch.manual_seed(0)
    inner = nn.Conv3d(1, 4, 3, padding=1)
    outer = as_planned(inner, AsBase(classes=((0, 3), (1, 2)), normalisation=ZSCORE))
    window = torch.randn(2, 1, 6, 5, 4)
    with torch.inference_mode():
        found = torch.softmax(outer(window), 1)
        seen = torch.stack([normalised(one[0], ZSCORE)[None] for one in window])
        own = torch.softmax(inner(seen), 1)
    assert torch.allclose(found[:, 0], own[:, 0] + own[:, 3], atol=1e-6)
    assert torch.allclose(found[:, 1], own[:, 1] + own[:, 2], atol=1e-6)
    assert as_planned(inner, None) is inner


def test_shifts_are_undone_and_averaged() -> None:
    torch.manual_seed(1)
    inner = nn.Conv3d(1, 2, 1)  # of one voxel: moves with what it sees
    used = AsBase(classes=((0,), (1,)), normalisation=ZSCORE)
    moved = AsBase(classes=((0,), (1,)), normalisation=ZSCORE, shifts=((0, 0, 0), (2, -1, 3)))
    window = torch.randn(1, 1, 8, 8, 8)
    with torch.inference_mode():
        plain, averaged = (torch.softmax(AsBaseNetwork(inner, each)(window), 1) for each in (used, moved))
        assert torch.allclose(plain, averaged, atol=1e-6)
        wide = nn.Conv3d(1, 2, 3, padding=1)  # sees other neighbours at the faces
        plain, averaged = (torch.softmax(AsBaseNetwork(wide, each)(window), 1) for each in (used, moved))
    assert not torch.allclose(plain, averaged, atol=1e-3)
    assert torch.allclose(plain[..., 4:-4, 4:-4, 4:-4], averaged[..., 4:-4, 4:-4, 4:-4], atol=1e-6)


def test_a_window_is_seen_alike_whatever_its_scale() -> None:
    window = torch.randn(8, 8, 8) + 5
    window[:2] = 0
    seen = normalised(window, ZSCORE)
    there = window != 0
    assert abs(float(seen[there].mean())) < 1e-5 and abs(float(seen[there].std()) - 1) < 1e-3
    assert (seen[:2] == 0).all()
    moved = torch.where(there, window * 40 - 7, window)
    assert torch.allclose(normalised(moved, ZSCORE), seen, atol=1e-4)
    assert (normalised(torch.zeros(4, 4, 4), ZSCORE) == 0).all()


def test_each_window_of_a_batch_is_normalised_by_itself() -> None:
    network = AsBaseNetwork(nn.Identity(), AsBase(classes=((0,),), normalisation=ZSCORE))
    windows = torch.stack([torch.randn(1, 6, 6, 6) + 3, 100 * torch.randn(1, 6, 6, 6) - 900])
    both = network(windows)
    assert torch.allclose(both[1:], network(windows[1:]), atol=1e-5)


def test_smoothing_is_scipys_gaussian_where_nothing_is_zero() -> None:
    window = torch.randn(9, 10, 11) + 20
    expected = ndimage.gaussian_filter(window.numpy(), 0.8, radius=3, mode="nearest")
    found = smoothed(window, 0.8).numpy()
    assert np.allclose(found[3:-3, 3:-3, 3:-3], expected[3:-3, 3:-3, 3:-3], atol=1e-4)
    assert smoothed(window, 0.0) is window


def test_smoothing_neither_darkens_the_edge_of_a_stripped_brain_nor_fills_what_is_zero() -> None:
    window = torch.full((8, 9, 10), 7.0)
    window[:, :4] = 0
    assert torch.allclose(smoothed(window, 0.6), window, atol=1e-5)
    uneven = torch.where(window != 0, torch.rand(8, 9, 10) + 5, window)
    found = smoothed(uneven, 0.6)
    assert (found[:, :4] == 0).all()
    assert found[:, 4:].std() < uneven[:, 4:].std() and found[:, 4:].min() >= 5 and found[:, 4:].max() <= 6
    assert (smoothed(torch.zeros(4, 4, 4), 0.6) == 0).all()


def test_a_window_is_smoothed_before_it_is_normalised() -> None:
    torch.manual_seed(2)
    window = torch.randn(1, 1, 8, 8, 8) + 4
    used = AsBase(classes=((0,), (1,)), normalisation=ZSCORE, smooth_voxels=0.6)
    inner = nn.Conv3d(1, 2, 1)
    expected = torch.softmax(inner(normalised(smoothed(window[0, 0], 0.6), ZSCORE)[None, None]), 1)
    assert torch.allclose(torch.softmax(AsBaseNetwork(inner, used)(window), 1), expected, atol=1e-6)


class Bright(nn.Module):
    """Finds what is brighter than 1, and keeps where it lay in each window that it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[float]] = []

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        for window in windows[:, 0]:
            self.seen.append(torch.nonzero(window > 1).float().mean(0).tolist() if (window > 1).any() else [])
        return torch.cat([torch.zeros_like(windows), torch.where(windows > 1, 9.0, -9.0)], 1)


def with_blob(start: tuple[int, int, int]) -> torch.Tensor:
    """(1, 1, 24, 32, 28) noise with a bright block of 4 x 6 x 4 voxels."""
    window = torch.rand(1, 1, 24, 32, 28) + 1
    z, y, x = start
    window[0, 0, z : z + 4, y : y + 6, x : x + 4] = 50
    return window


def test_windows_are_moved_to_have_what_was_found_in_their_middle() -> None:
    """Each of a batch by itself, after a first look where it lay; a speck elsewhere does not count, and the
    probabilities come back where the structure lies in the scan.
    """
    inner = Bright()
    used = AsBase(classes=((0,), (1,)), normalisation=UNCLIPPED, shifts=((0, 0, 0), (3, 3, 3)), centred=True)
    windows = torch.cat([with_blob((13, 11, 8)), with_blob((7, 16, 14))])
    windows[1, 0, 0, 0, 0] = 50
    found = torch.softmax(AsBaseNetwork(inner, used)(windows), 1)
    for window, mask in zip(windows[:, 0], found[:, 1] > 0.5, strict=True):
        assert torch.equal(mask, window == 50)
    assert np.allclose(inner.seen[:3], [[14.5, 13.5, 9.5], [11.5, 15.5, 13.5], [14.5, 18.5, 16.5]])
    alone = Bright()
    AsBaseNetwork(alone, used)(with_blob((7, 16, 14)))
    assert np.allclose(alone.seen, [[8.5, 18.5, 15.5], [11.5, 15.5, 13.5], [14.5, 18.5, 16.5]])


def test_a_window_is_moved_by_so_much_at_most_and_not_where_nothing_was_found() -> None:
    inner = Bright()
    used = AsBase(classes=((0,), (1,)), normalisation=UNCLIPPED, centred=True)
    AsBaseNetwork(inner, used)(with_blob((0, 13, 12)))
    assert np.allclose(inner.seen, [[1.5, 15.5, 13.5], [1.5 + MOST_MOVED, 15.5, 13.5]])
    empty = Bright()
    window = torch.zeros(1, 1, 24, 32, 28)
    assert (torch.softmax(AsBaseNetwork(empty, used)(window), 1)[:, 1] < 0.5).all()
    assert empty.seen == [[], []]


def test_a_card_from_before_smoothing_and_centring_means_none() -> None:
    record = msgspec.to_builtins(AsBase(classes=((0,), (1,)), normalisation=ZSCORE, smooth_voxels=0.6, centred=True))
    del record["smooth_voxels"], record["centred"]
    before = msgspec.convert(record, AsBase)
    assert before.smooth_voxels == 0 and not before.centred
