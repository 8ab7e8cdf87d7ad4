"""Folds: each case validated once, no subject on both sides, the same by the same seed."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.planning.folds import make_folds
from tests.records import case_of_boxes, fingerprint_of

BOX = ((1, 1, 1), (2, 2, 2))


def of_subjects(
    subjects: list[int], absent: set[int] | None = None, duplicates: tuple[tuple[str, ...], ...] = ()
) -> Fingerprint:
    """Case number i belongs to subject subjects[i]; in the cases `absent` the second label is empty."""
    cases = [
        case_of_boxes(
            f"case_{i:02d}", {"first": BOX, "second": None if i in (absent or set()) else BOX}, subject=f"S{subject}"
        )
        for i, subject in enumerate(subjects)
    ]
    return fingerprint_of(cases, duplicates=duplicates)


@settings(deadline=None, derandomize=True, database=None, max_examples=300)
@given(
    subjects=st.lists(st.integers(0, 12), min_size=1, max_size=30),
    absent=st.sets(st.integers(0, 29)),
    twins=st.sets(st.integers(0, 29), min_size=2, max_size=3),
    seed=st.integers(0, 2**31 - 1),
)
def test_laws_of_folds(subjects: list[int], absent: set[int], twins: set[int], seed: int) -> None:
    names = tuple(f"case_{i:02d}" for i in sorted(twins) if i < len(subjects))
    fingerprint = of_subjects(subjects, absent, (names,) if len(names) > 1 else ())
    folds, reason = make_folds(fingerprint, seed)
    group = fingerprint.groups
    count = len(set(group.values()))
    assert len(folds) == (0 if count < 2 else min(5, count)), reason
    validated = Counter(case for fold in folds for case in fold.val)
    assert not folds or validated == Counter({case.id: 1 for case in fingerprint.cases})
    for fold in folds:
        assert fold.train and fold.val
        assert sorted(fold.train + fold.val) == sorted(group)
        assert not {group[case] for case in fold.train} & {group[case] for case in fold.val}
    assert make_folds(fingerprint, seed) == (folds, reason)


def test_the_seed_draws_them() -> None:
    fingerprint = of_subjects(list(range(20)))
    assert len({make_folds(fingerprint, seed)[0] for seed in range(5)}) == 5
    assert "seed 3" in make_folds(fingerprint, 3)[1]


@pytest.mark.parametrize(
    ("subjects", "count"), [([0] * 6, 0), ([0, 1], 2), ([0, 1, 2, 0, 1, 2], 3), ([0, 1, 2, 3], 4), (list(range(9)), 5)]
)
def test_few_subjects_give_few_folds(subjects: list[int], count: int) -> None:
    folds, reason = make_folds(of_subjects(subjects), 0)
    assert len(folds) == count
    assert ("full-data" in reason) == (count == 0)
    assert ("5 need" in reason) == (0 < count < 5)


def test_identical_images_join_their_subjects() -> None:
    fingerprint = of_subjects([0, 0, 1, 2, 3, 4], duplicates=(("case_01", "case_02"), ("case_02", "case_03")))
    assert fingerprint.groups == {
        "case_00": "S0",
        "case_01": "S0",
        "case_02": "S0",
        "case_03": "S0",
        "case_04": "S3",
        "case_05": "S4",
    }


def test_folds_share_out_what_labels_are_present() -> None:
    folds, reason = make_folds(of_subjects(list(range(20)), set(range(10))), 0)
    assert "stratified" in reason
    assert [sum(case < "case_10" for case in fold.val) for fold in folds] == [2] * 5


def test_stratifying_never_leaves_a_fold_empty() -> None:
    # found by search: scikit-learn's StratifiedGroupKFold gives one of five folds no subject here
    sizes = [5, 7, 2, 3, 6]
    subjects = [subject for subject, size in enumerate(sizes) for _ in range(size)]
    fingerprint = of_subjects(subjects, {index for index, subject in enumerate(subjects) if subject in (1, 4)})
    folds, reason = make_folds(fingerprint, 0)
    assert len(folds) == 5 and all(fold.train and fold.val for fold in folds)
    assert "stratified" not in reason
