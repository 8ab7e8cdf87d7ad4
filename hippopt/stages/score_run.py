"""Stage: the scores of all validated folds of a run together, and their means."""

import pandas as pd

from hippopt.console import Console, counted
from hippopt.planned_dataset import PlannedDataset
from hippopt.reporting.scores import say_summary
from hippopt.scoring.tables import read_case_table, summarise, write_csv, write_json


def score_run(planned: PlannedDataset, run: str, console: Console) -> None:
    """Write the scores of all validated folds of a run together, with their means, where there are several.

    Args:
        planned: the data set with its plan and workspace.
        run: the run's name.
        console: the means go here.

    Raises:
        DatasetError: a fold's table was changed, or two folds have validated the same case.
        OutputError: a table cannot be written.
    """
    folds = [planned.fold(run, str(number)) for number in range(len(planned.plan.folds))]
    tables = [
        read_case_table(folder.metrics) for folder in folds if folder.summary.exists() and folder.metrics.exists()
    ]
    if len(tables) < 2:
        return
    table = pd.concat(tables, ignore_index=True)
    summary = summarise(table)
    path = planned.workspace.out_of_fold(planned.name, run)
    write_csv(path, table)
    write_json(
        path.with_suffix(".json"), summary, {"folds": len(tables), "of": len(planned.plan.folds), "checkpoint": "last"}
    )
    console.say(
        f"out of fold, {len(tables)} of {len(planned.plan.folds)} folds, {counted(table.case.nunique(), 'case')}:"
        f" {path}"
    )
    say_summary(summary, console)
