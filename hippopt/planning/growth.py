"""A plan for a data set that grew by corrections: old cases keep their folds, and new ones join them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from hippopt.artifacts.corrections import Corrections
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.plan import Fold
from hippopt.errors import DatasetError
from hippopt.planning.folds import make_folds


def grew_by_corrections(old: Fingerprint, new: Fingerprint, corrections: Corrections) -> bool:
    """Whether all that differs between two fingerprints of a data set came by hippopt_correct.

    Labels, channels and sides must be the same, no case may be gone or have another subject, and every case that is new
    or holds other voxels must be one of the corrections, with the contents that were stored then.
    """
    if (old.dataset, old.labels, old.channel_names, old.sides) != (
        new.dataset,
        new.labels,
        new.channel_names,
        new.sides,
    ):
        return False
    before, after = ({case.id: case for case in found.cases} for found in (old, new))
    if any(case not in after or after[case].subject != seen.subject for case, seen in before.items()):
        return False
    same = {
        case
        for case, seen in before.items()
        if (seen.image_hash, seen.label_hash) == (after[case].image_hash, after[case].label_hash)
    }
    return all(
        corrections.tells(case.id, case.image_hash, case.label_hash) for case in new.cases if case.id not in same
    )


def joined_folds(folds: Sequence[Fold], known: Sequence[str], fingerprint: Fingerprint, seed: int) -> tuple[Fold, ...]:
    """The folds with the new cases in them.

    A new case of a known subject goes wherever that subject's cases are. The cases of a new subject are validated in
    the fold with the fewest validation cases (of equal ones the first) and train in all others; subjects with most
    cases are dealt first.

    Args:
        folds: as planned; empty where one subject was all there was, and then folds are drawn as for a new data set.
        known: ids of the cases that were planned for.
        fingerprint: of the data set as it is now.
        seed: of folds that have to be drawn.

    Raises:
        DatasetError: a new case joins subjects that lie in different folds.
    """
    if not folds:
        return make_folds(fingerprint, seed)[0]
    group = fingerprint.groups
    members: dict[str, list[str]] = defaultdict(list)
    for case in sorted(set(group) - set(known)):
        members[group[case]].append(case)
    train, val = [list(fold.train) for fold in folds], [list(fold.val) for fold in folds]
    sides = {case: _sides(folds, case) for case in known}
    fresh = []
    for name, cases in sorted(members.items()):
        found = {sides[case] for case in known if group[case] == name}
        if len(found) > 1:
            raise DatasetError(
                f"{', '.join(cases)}: of subject {name}, whose other cases lie in different folds; correct its subject,"
                " or plan anew with --overwrite"
            )
        if not found:
            fresh.append(cases)
            continue
        for number, side in enumerate(next(iter(found))):
            if side is not None:
                (train if side == "train" else val)[number] += cases
    for cases in sorted(fresh, key=lambda cases: -len(cases)):
        smallest = min(range(len(val)), key=lambda number: len(val[number]))
        for number in range(len(folds)):
            (val if number == smallest else train)[number] += cases
    return tuple(Fold(train=tuple(sorted(a)), val=tuple(sorted(b))) for a, b in zip(train, val, strict=True))


def _sides(folds: Sequence[Fold], case: str) -> tuple[str | None, ...]:
    """Where a case stands in each fold: "train", "val" or neither."""
    return tuple("train" if case in fold.train else "val" if case in fold.val else None for fold in folds)


def where_joined(old: Sequence[Fold], new: Sequence[Fold]) -> Mapping[int, list[str]]:
    """{fold: cases that are now validated in it and were not}."""
    return {
        number: [case for case in fold.val if number >= len(old) or case not in old[number].val]
        for number, fold in enumerate(new)
        if number >= len(old) or fold.val != old[number].val
    }
