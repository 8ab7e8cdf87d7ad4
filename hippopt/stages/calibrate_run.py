"""Stage: fit a run's predicted Dice to the out-of-fold cases of all its validated folds, and say how well it does."""

from hippopt.artifacts.calibration import LEAST_CASES, LEAST_FOLDS, Calibration
from hippopt.artifacts.codec import load_record, write_json
from hippopt.artifacts.plan import Plan
from hippopt.console import Console, counted
from hippopt.errors import PlanError
from hippopt.inference.calibration import fit_calibration
from hippopt.inference.signal_table import read_signals
from hippopt.networks.restoring import read_card
from hippopt.workspace import Workspace


def calibrate_run(workspace: Workspace, dataset: str, run: str, plan: Plan, console: Console) -> Calibration | None:
    """Calibrate a run: write `calibration.json` beside its folds, or remove one that no longer fits them.

    Args:
        workspace: where the run lies.
        dataset: the data set's full name, `DatasetNNN_Name`.
        run: the run's name.
        plan: the plan that the folds were trained with.
        console: what is said goes here.

    Returns:
        The calibration; None where too few folds or cases are validated.

    Raises:
        DatasetError: a table of signals was changed.
        WeightsError: a card cannot be read.
    """
    path = workspace.run_calibration(dataset, run)
    folders = {str(number): workspace.fold(dataset, run, str(number)) for number in range(len(plan.folds))}
    ready = {fold: folder for fold, folder in folders.items() if folder.summary.exists() and folder.signals.exists()}
    cards = {fold: read_card(folder.adapter_card) for fold, folder in ready.items()}
    made = None
    plans: dict[str, list[str]] = {}
    for fold, card in cards.items():
        plans.setdefault(card.plan_hash, []).append(fold)
    if len(plans) > 1:
        # signals at other spacings are not comparable, and prediction refuses such folds together too
        which = ", ".join(f"{plan_hash[:12]} (fold {' '.join(folds)})" for plan_hash, folds in plans.items())
        console.warn(
            f"run {run}: its folds were trained with several plans, {which}: no calibration; train them with one plan"
        )
    elif len(ready) >= LEAST_FOLDS:
        table = read_signals({fold: folder.signals for fold, folder in ready.items()})
        made = fit_calibration(table, next(iter(plans)), {fold: card.sha256 for fold, card in cards.items()})
        if made is None:
            console.say(
                f"fewer than {LEAST_CASES} validated cases: this run predicts no Dice and no interval of volumes"
            )
    if made is None:
        _remove_stale(workspace, dataset, run)
        return None
    write_json(path, made)
    _say(made, console)
    return made


def _remove_stale(workspace: Workspace, dataset: str, run: str) -> None:
    """An earlier fit stays only where it is of the networks that are there."""
    path = workspace.run_calibration(dataset, run)
    cards = {
        fold: read_card(workspace.fold(dataset, run, fold).adapter_card)
        for fold in workspace.trained_folds(dataset, run)
    }
    try:
        kept = load_record(path, Calibration, "hippopt_train") if path.exists() else None
    except PlanError:
        kept = None
    if kept is None or not all(kept.belongs_to(card.plan_hash, {fold: card.sha256}) for fold, card in cards.items()):
        path.unlink(missing_ok=True)


def _say(calibration: Calibration, console: Console) -> None:
    whole = calibration.quality[-1]
    console.say(
        f"predicted Dice ({whole.label}), each fold judged by the fit to the others, {counted(whole.cases, 'case')}:"
        f" rank correlation {_figure(whole.spearman)}, mean error {whole.mean_absolute_error:.3f} (guessing the mean:"
        f" {whole.error_of_mean:.3f}), finds the worst tenth with an area under the ROC curve of"
        f" {_figure(whole.worst_tenth_auc)} (chance: 0.50)"
    )
    verdict = (
        "volumes.tsv will hold it"
        if calibration.useful
        else "hippopt_predict leaves predicted Dice and intervals blank"
    )
    console.say(f"what the predicted Dice is worth: {calibration.verdict}; {verdict}")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
