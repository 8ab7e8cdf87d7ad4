"""What the options of hippopt_train make of the data set's plan, and which of them exclude each other."""

from collections.abc import Sequence

from hippopt.artifacts.plan import Plan
from hippopt.errors import UsageError
from hippopt.planning.run_plan import adjusted_plan
from hippopt.training.request import TrainingRequest


def requested_plan(plan: Plan, request: TrainingRequest, folds: Sequence[str]) -> Plan:
    """The plan of the run that is asked for. folds: to train. Raises UsageError, PlanError."""
    _check_unlabelled(request, folds)
    return adjusted_plan(
        plan,
        request.method,
        request.rank,
        request.learning_rate,
        request.no_transformer,
        request.kernels,
        request.unlabelled is not None,
    )


def _check_unlabelled(request: TrainingRequest, folds: Sequence[str]) -> None:
    """Raises UsageError where the request cannot be one for scans without labels."""
    if request.unlabelled is None:
        if request.teacher is not None:
            raise UsageError(f"--teacher {request.teacher}: names who segments the scans of --unlabelled; give both")
        return
    numbered = [fold for fold in folds if fold.isdigit()]
    if numbered:
        raise UsageError(
            f"--unlabelled: with full-data, not with fold {numbered[0]}: its validation cases would be judged by a"
            " network whose teachers had learned from them"
        )
    if request.continue_from is not None:
        raise UsageError("--unlabelled: not with --continue-from; name the teacher with --teacher")
