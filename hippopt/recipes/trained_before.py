"""What was trained before a data set grew, and how training goes on from it."""

from hippopt.workspace import Workspace


def next_training(workspace: Workspace, dataset: str) -> str | None:
    """The command that goes on from a trained run with all cases; None where no run is trained."""
    runs = workspace.runs(dataset)
    if not runs:
        return None
    folds = [fold for run in runs for fold in workspace.trained_folds(dataset, run) if fold.isdigit()]
    what = "all" if folds else "full-data"  # what can be gone on from
    return (
        f"hippopt_train {workspace.short_name(dataset)} {what} --continue-from {runs[0] if len(runs) == 1 else 'RUN'}"
    )
