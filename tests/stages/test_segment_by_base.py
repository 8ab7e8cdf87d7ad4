"""What a base's classes mean for labels that it never saw, voxel by voxel."""

import numpy as np

from hippopt.artifacts.weights import BaseCard
from hippopt.stages.segment_by_base import labelled, labels_meant, merged
from tests.records import TINY_NETWORK, changed, small_plan

CLASSES = ("background", "hippocampus_anterior", "hippocampus_posterior", "amygdala")


def card(names: tuple[str, ...] | None = CLASSES, channels: int = 1) -> BaseCard:
    return BaseCard(
        name="base",
        sha256="",
        network=TINY_NETWORK,
        in_channels=channels,
        out_channels=4,
        patch_size=(16, 32, 16),
        class_names=names,
    )


def test_labels_are_found_by_their_names_or_there_is_nothing_to_show() -> None:
    plan = changed(small_plan(), labels={"background": 0, "anterior": 5, "posterior": 9}, channel_names=("T1",))
    assert labels_meant(card(), plan) == [[0, 3], [1], [2]]
    assert labels_meant(card(), changed(plan, labels={"background": 0, "lesion": 1})) is None
    assert labels_meant(card(names=None), plan) is None and labels_meant(card(channels=2), plan) is None


def test_parts_count_together_against_all_else() -> None:
    """Voxels: background; .3 + .3 of both parts against .4 of the background; the amygdala; the posterior part."""
    probabilities = np.array(
        [[0.9, 0.4, 0.1, 0.2], [0.05, 0.3, 0.1, 0.1], [0.05, 0.25, 0.1, 0.7], [0.0, 0.05, 0.7, 0.0]]
    )[:, None, None]
    found = merged(probabilities, [[0, 3], [1], [2]])
    np.testing.assert_allclose(found[:, 0, 0], [[0.1, 0.55, 0.2, 0.8], [0.05, 0.3, 0.1, 0.1], [0.05, 0.25, 0.1, 0.7]])
    assert labelled(found, (0, 5, 9)).ravel().tolist() == [0, 5, 0, 9]


def test_labels_that_share_their_classes_give_one_outline() -> None:
    """Left and right both begin from both halves: which side a voxel is on cannot be told, that it is
    hippocampus can.
    """
    probabilities = np.array([0.4, 0.3, 0.3, 0.0])[:, None, None, None]
    found = merged(probabilities, [[0, 3], [1, 2], [1, 2]])
    assert found[0].item() == 0.6 and labelled(found, (0, 1, 2)).item() != 0
