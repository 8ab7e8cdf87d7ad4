"""Target spacing, crop, patch and batch size, by numbers that can be checked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.triples import Voxels
from hippopt.planning import space
from tests.records import FRONT_AND_BACK, Spacing, case_of_boxes, fingerprint_of

ONE_BOX: dict[str, tuple[Voxels, Voxels] | None] = {"label": ((0, 0, 0), (1, 1, 1))}


def of_grids(grids: list[tuple[Voxels, Spacing]]) -> Fingerprint:
    return fingerprint_of(
        [case_of_boxes(f"case_{number}", ONE_BOX, shape, spacing) for number, (shape, spacing) in enumerate(grids)]
    )


def nnunet_target_spacing(grids: list[tuple[Voxels, Spacing]]) -> np.ndarray:
    """`determine_fullres_target_spacing` of nnU-Net v2 (ExperimentPlanner), with its threshold of 3."""
    spacings, sizes = np.vstack([spacing for _, spacing in grids]), np.vstack([shape for shape, _ in grids])
    target, target_size = np.percentile(spacings, 50, 0), np.percentile(sizes, 50, 0)
    worst = int(np.argmax(target))
    others = [axis for axis in range(3) if axis != worst]
    if target[worst] > 3 * max(target[others]) and target_size[worst] * 3 < min(target_size[others]):
        candidate = np.percentile(spacings[:, worst], 10)
        if candidate < max(target[others]):
            candidate = max(max(target[others]), candidate) + 1e-5
        target[worst] = candidate
    return target


spacing_values = st.sampled_from([0.4, 0.5, 0.8, 1.0, 1.2, 2.0, 4.0, 5.0])
grids = st.lists(
    st.tuples(
        st.tuples(*[st.sampled_from([12, 20, 40, 100, 200])] * 3),
        st.tuples(spacing_values, spacing_values, spacing_values),
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, derandomize=True, database=None, max_examples=200)
@given(grids)
def test_target_spacing_follows_nnunet(found: list[tuple[Voxels, Spacing]]) -> None:
    spacing, _ = space.target_spacing(of_grids(found))
    np.testing.assert_allclose(spacing, nnunet_target_spacing(found), atol=1e-4)


@pytest.mark.parametrize(
    ("grids", "wanted"),
    [
        ([((40, 50, 40), (1.0, 1.0, 1.0))] * 3, (1, 1, 1)),
        # the median of three, axis by axis
        (
            [((40, 50, 40), (1.0, 0.9, 0.8)), ((40, 50, 40), (1.2, 0.8, 1.0)), ((40, 50, 40), (1.1, 1.0, 0.9))],
            (1.1, 0.9, 0.9),
        ),
        # thick slices: 10th percentile of 2, 4, 4, 4, 4 is 2 + 0.4 * 2 = 2.8
        ([((12, 200, 200), (2.0, 0.5, 0.5))] + [((12, 200, 200), (4.0, 0.5, 0.5))] * 4, (2.8, 0.5, 0.5)),
        # thick slices, but many of them: the median stays
        ([((80, 200, 200), (2.0, 0.5, 0.5))] + [((80, 200, 200), (4.0, 0.5, 0.5))] * 4, (4.0, 0.5, 0.5)),
        # the coarse axis never gets finer than the others: the percentile, 0.4 + 0.4 * 3.6 = 1.84, is
        ([((12, 200, 200), (0.4, 1.0, 1.0))] + [((12, 200, 200), (4.0, 1.0, 1.0))] * 4, (1.84, 1.0, 1.0)),
        ([((12, 200, 200), (0.4, 1.0, 1.0))] * 2 + [((12, 200, 200), (4.0, 1.0, 1.0))] * 3, (1.0, 1.0, 1.0)),
    ],
)
def test_target_spacing_by_hand(grids: list[tuple[Voxels, Spacing]], wanted: Spacing) -> None:
    spacing, reason = space.target_spacing(of_grids(grids))
    assert spacing == pytest.approx(wanted, abs=1e-4)
    assert ("10th percentile" in reason) == (spacing[0] != np.median([grid[1][0] for grid in grids]))


def test_prepared_shapes() -> None:
    case = case_of_boxes("case", ONE_BOX, (30, 40, 50), (2.0, 1.0, 0.5), nonzero=((5, 0, 0), (20, 40, 41)))
    assert space.prepared_shape(case, (1.0, 1.0, 1.0), "none") == (60, 40, 25)
    assert space.prepared_shape(case, (1.0, 1.0, 1.0), "nonzero") == (40, 40, 20)  # 20.5 is rounded to even


def test_structures_are_measured_side_by_side() -> None:
    boxes: dict[str, tuple[Voxels, Voxels] | None] = {
        "head_left": ((10, 20, 5), (4, 6, 8)), "body_left": ((8, 10, 6), (4, 12, 8)),  # together 6 x 16 x 9
        "head_right": ((10, 20, 40), (4, 6, 8)), "body_right": None,
        "stem": ((0, 0, 25), (3, 3, 3)),
    }  # fmt: skip
    sides = {"head_left": "left", "body_left": "left", "head_right": "right", "body_right": "right"}
    fingerprint = fingerprint_of([case_of_boxes("case", boxes, (40, 40, 60), (2.0, 1.0, 1.0))], sides)  # type: ignore[arg-type]
    assert space.structure_extents(fingerprint).tolist() == [
        [6, 3, 3],
        [12, 16, 9],
        [8, 6, 8],
    ]  # mm: without a side, left, right


@pytest.mark.parametrize(
    ("shape", "spacing", "wanted"),
    [
        (
            (40, 56, 40),
            (1.0, 1.0, 1.0),
            (32, 48, 32),
        ),  # 38 x 58 x 40 wanted; inside the image, with all of 22 x 42 x 24
        (
            (40, 45, 30),
            (1.0, 1.0, 1.0),
            (32, 48, 32),
        ),  # 32 would hold too little of 42 along y; along x one token is too few
        ((100, 100, 100), (1.0, 1.0, 1.0), (48, 64, 48)),
        ((48, 48, 48), (1.0, 1.0, 1.0), (48, 48, 48)),
        (
            (100, 200, 200),
            (1.0, 0.5, 0.5),
            (48, 80, 64),
        ),  # boxes are in voxels: 22 x 21 x 12 mm, with margins 38 x 74 x 56 voxels
        ((12, 49, 33), (1.0, 1.0, 1.0), (16, 48, 32)),
    ],
)
def test_patches_cover_the_structure(shape: Voxels, spacing: Spacing, wanted: Voxels) -> None:
    fingerprint = fingerprint_of(
        [case_of_boxes(f"case_{number}", FRONT_AND_BACK, shape, spacing) for number in range(3)]
    )
    patch, _ = space.patch_size(fingerprint, spacing, "none", lambda _: True)
    assert patch == wanted


def test_patches_are_multiples_of_finer_tokens_too() -> None:
    """38 x 58 x 40 voxels wanted, and there: 40 x 64 x 40 in
    multiples of 8, and 40 x 56 x 40 where the images end there.
    """
    for shape, wanted in (((100, 100, 100), (40, 64, 40)), ((40, 56, 40), (40, 56, 40)), ((12, 49, 33), (16, 48, 32))):
        fingerprint = fingerprint_of([case_of_boxes(f"case_{number}", FRONT_AND_BACK, shape) for number in range(3)])
        patch, reason = space.patch_size(fingerprint, (1.0, 1.0, 1.0), "none", lambda _: True, 8)
        assert patch == wanted and "multiples of 8" in reason


def test_one_outlying_label_does_not_enlarge_the_patch() -> None:
    usual = [case_of_boxes(f"case_{number}", FRONT_AND_BACK, (100, 100, 100)) for number in range(39)]
    outlier = case_of_boxes("outlier", {"anterior": ((0, 0, 0), (90, 90, 90)), "posterior": None}, (100, 100, 100))
    assert space.patch_size(fingerprint_of([*usual, outlier]), (1.0, 1.0, 1.0), "none", lambda _: True)[0] == (
        48,
        64,
        48,
    )


def test_patches_shrink_until_they_fit() -> None:
    fingerprint = fingerprint_of([case_of_boxes("case", FRONT_AND_BACK, (100, 100, 100))])
    seen: list[Voxels] = []

    def fits(patch: Voxels) -> bool:
        seen.append(patch)
        return np.prod(patch) <= 32 * 48 * 32

    assert space.patch_size(fingerprint, (1.0, 1.0, 1.0), "none", fits)[0] == seen[-1]
    assert seen[0] == (48, 64, 48) and np.prod(seen[-1]) <= 32 * 48 * 32
    assert all(min(patch) >= 16 and not any(size % 16 for size in patch) for patch in seen)
    with pytest.raises(space.NothingFitsError, match="16 x 16 x 16"):
        space.patch_size(fingerprint, (1.0, 1.0, 1.0), "none", lambda _: False)


@pytest.mark.parametrize(
    ("cases", "on_cpu", "budget", "wanted"),
    [
        (100, False, 1e9, 5),  # 100 images of one patch each: 5 % are 5
        (10, False, 1e9, 2),  # 5 % would be less than the least
        (1000, False, 7.5, 7),  # bytes a sample: 1
        (1000, False, 1.5, 1),
        (1000, True, 1e9, 2),
        (1000, True, 1.5, 1),
    ],
)
def test_batches(cases: int, on_cpu: bool, budget: float, wanted: int) -> None:
    patch = (32, 32, 32)
    assert space.batch_size([patch] * cases, patch, on_cpu, lambda size: size, budget)[0] == wanted


@pytest.mark.parametrize(
    ("shape", "boxes", "spacing", "nonzero", "parts", "wanted"),
    [
        ((20, 40, 20), ((3, 6, 3), (14, 28, 14)), (1.0, 1.0, 1.0), None, True, True),
        ((20, 40, 20), ((2, 4, 2), (16, 32, 16)), (1.0, 1.0, 1.0), None, True, True),  # fills the patch to its faces
        ((20, 40, 20), ((1, 6, 3), (14, 28, 14)), (1.0, 1.0, 1.0), None, True, False),  # one voxel before it
        ((20, 40, 20), ((3, 6, 3), (14, 31, 14)), (1.0, 1.0, 1.0), None, True, False),  # one behind
        (
            (16, 32, 16),
            ((3, 6, 3), (5, 5, 5)),
            (1.0, 1.0, 1.0),
            None,
            True,
            False,
        ),  # the patch holds the image: nothing to save
        ((20, 40, 25), ((3, 6, 6), (14, 28, 14)), (1.0, 1.0, 1.0), None, True, False),  # over 1.5 patches
        ((20, 40, 20), ((3, 6, 3), (14, 28, 14)), (1.0, 1.0, 1.0), None, False, False),
        (
            (40, 40, 20),
            ((5, 6, 3), (30, 28, 14)),
            (0.5, 1.0, 1.0),
            None,
            True,
            True,
        ),  # 20 mm along z, of which 2.5 to 17.5 are labelled
        (
            (40, 40, 20),
            ((22, 6, 3), (14, 28, 14)),
            (1.0, 1.0, 1.0),
            ((19, 0, 0), (20, 40, 20)),
            True,
            True,
        ),  # in the crop's middle, not the image's
    ],
)
def test_one_window_in_the_middle(
    shape: Voxels,
    boxes: tuple[Voxels, Voxels],
    spacing: Spacing,
    nonzero: tuple[Voxels, Voxels] | None,
    parts: bool,
    wanted: bool,
) -> None:
    fingerprint = fingerprint_of(
        [case_of_boxes(f"case_{i}", {"label": boxes}, shape, spacing, nonzero=nonzero) for i in range(3)]
    )
    crop = "nonzero" if nonzero else "none"
    assert space.centre_window(fingerprint, (1.0, 1.0, 1.0), crop, (16, 32, 16), parts)[0] == wanted


def test_one_window_in_the_middle_may_miss_a_tenth_of_the_cases() -> None:
    inside, outside = ((3, 6, 3), (14, 28, 14)), ((0, 0, 0), (14, 28, 14))
    for missed, wanted in ((1, True), (2, False)):
        cases = [
            case_of_boxes(f"case_{i}", {"label": outside if i < missed else inside}, (20, 40, 20)) for i in range(10)
        ]
        assert space.centre_window(fingerprint_of(cases), (1.0, 1.0, 1.0), "none", (16, 32, 16), True)[0] == wanted
        cases = [case_of_boxes(f"case_{i}", {"label": inside}, (20, 49 if i < missed else 40, 20)) for i in range(10)]
        assert space.centre_window(fingerprint_of(cases), (1.0, 1.0, 1.0), "none", (16, 32, 16), True)[0] == wanted
