"""Draw the folds of cross-validation so that all scans of a subject stand in one fold."""

from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.plan import Fold
from hippopt.console import counted

FOLDS = 5


def make_folds(fingerprint: Fingerprint, seed: int) -> tuple[tuple[Fold, ...], str]:
    """Up to 5 folds (fewer when subjects are few, none for one subject), with the reason."""
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    group = fingerprint.groups
    cases = sorted(group)
    names = [group[case] for case in cases]
    subjects = len(set(names))
    count = min(FOLDS, subjects)
    if count < 2:
        return (), "one subject only: nothing to validate on, so train with the fold `full-data`"
    present = {
        case.id: tuple(label for label, found in sorted(case.labels.items()) if found.voxels)
        for case in fingerprint.cases
    }
    patterns = [present[case] for case in cases]
    kinds = sorted(set(patterns))
    reason = (
        f"{counted(count, 'fold')} by subject ({counted(subjects, 'subject')}, {counted(len(cases), 'case')}), drawn"
        f" with seed {seed}"
    )
    splits = []
    if len(kinds) > 1 and min(patterns.count(kind) for kind in kinds) >= count:
        targets = [kinds.index(pattern) for pattern in patterns]
        splits = list(StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(cases, targets, names))
    if splits and all(len(val) for _, val in splits):  # subjects with many cases can leave a stratified fold empty
        reason += "; stratified by which labels are present"
    else:
        splits = list(GroupKFold(count, shuffle=True, random_state=seed).split(cases, None, names))
    if count < FOLDS:
        reason += f"; {FOLDS} need at least {FOLDS} subjects"
    folds = [Fold(train=tuple(cases[i] for i in train), val=tuple(cases[i] for i in val)) for train, val in splits]
    return tuple(folds), reason
