"""What a comparison writes: tables of figures, costs and choices, a plot, and how it was made."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from hippopt import __version__
from hippopt.artifacts.codec import content_hash, write_bytes, write_json
from hippopt.artifacts.methods import METHODS
from hippopt.artifacts.model_file import LEAST_SUBJECTS
from hippopt.comparison.units import Setting, Unit, all_case_scores
from hippopt.console import Console, counted
from hippopt.jobs.child_processes import threads_each
from hippopt.networks.restoring import read_card
from hippopt.planning.comparison_grid import REFERENCES, Cases, Combination
from hippopt.reporting.comparison import markdown, plot_comparison, summary_lines
from hippopt.scoring.comparison import compare
from hippopt.scoring.tables import write_csv


def write_report(
    setting: Setting,
    final: Sequence[Combination],
    reported: Cases,
    choosing: Cases | None,
    choices: pd.DataFrame,
    failed: dict[str, str],
    console: Console,
) -> None:
    """Write tables and plot, and say the table."""
    folder, tables, costs = setting.folder, [], []
    for combination in final:
        scores = all_case_scores(setting, combination, reported)
        if scores is not None:
            tables.append(scores.assign(row=combination.row.name, seed=combination.seed))
            costs += [_cost(setting, unit) for unit in setting.units([combination], reported)]
    if setting.request.finished and not tables:
        console.warn(f"{folder.path}: nothing that was asked for is finished; what lies there stays as it is")
        return
    write_csv(folder.failures, pd.DataFrame(list(failed.items()), columns=["what", "reason"]))
    write_csv(folder.choices, choices)
    notes = _notes(setting, reported, choosing, tables, failed)
    table = pd.DataFrame()
    for former in (folder.cases, folder.table, folder.plot) if not tables else ():
        former.unlink(missing_ok=True)
    if tables:
        cases = pd.concat(tables, ignore_index=True)
        write_csv(folder.cases, cases)
        table = compare(cases, REFERENCES).merge(_cost_table(pd.DataFrame(costs)), on="row")
        write_csv(folder.table, table)
        if cases.subject.nunique() < LEAST_SUBJECTS:  # the files keep them, people are not shown them
            table = table.assign(**{name: math.nan for name in table.columns if name.endswith(("_low", "_high"))})
            notes.append(f"{counted(cases.subject.nunique(), 'subject')}: too few for intervals")
        plot_comparison(table, folder.plot)
    write_bytes(folder.table.with_suffix(".md"), markdown(table, choices, notes, REFERENCES).encode())
    write_json(folder.settings, _settings(setting, reported, choosing))
    for line in summary_lines(table, REFERENCES):
        console.say(line)
    report = folder.table.with_suffix(".md")
    if tables:
        console.say(f"table: {report} and .csv; plot: {folder.plot}; a row per case: {folder.cases}")
    else:
        console.say(f"why there is no table: {report}")


def _cost(setting: Setting, unit: Unit) -> dict[str, Any]:
    folder, row = setting.fold(unit), unit.combination.row
    card = read_card(folder.adapter_card)
    trained = dict(card.trained_parameters)
    apart = {name: trained.pop(name, 0) for name in ("factors", "decoder", "head")}
    initial = folder.initial_factors.stat().st_size / 1e6 if METHODS[row.method].decomposes else 0.0
    return {
        "row": row.name,
        "method": row.method_name,
        "rank": row.rank,
        "rate": unit.combination.rate,
        "trained": sum(card.trained_parameters.values()),
        **apart,
        "other": sum(trained.values()),
        "seconds_a_step": float(pd.read_csv(folder.log).seconds_a_step.median()),
        "peak_memory_mb": card.settings.get("peak_memory_mb"),
        "adapter_mb": folder.adapter.stat().st_size / 1e6,
        "initial_mb": initial,
    }


def _cost_table(costs: pd.DataFrame) -> pd.DataFrame:
    """One row per row of the comparison: the median of its steps' times, the highest of its peaks."""
    rules = {name: "first" for name in costs.columns if name != "row"} | {
        "seconds_a_step": "median",
        "peak_memory_mb": "max",
        "adapter_mb": "max",
    }
    table = costs.groupby("row", sort=False).agg(rules).reset_index()
    return table.astype({"rate": float})


def _notes(
    setting: Setting, reported: Cases, choosing: Cases | None, tables: Sequence[pd.DataFrame], failed: dict[str, str]
) -> list[str]:
    request = setting.request
    trained = "all its cases" if reported.dataset else f"the other folds' cases, for fold {' '.join(reported.folds)}"
    notes = [
        f"trained on {setting.planned.name}: {trained}; {setting.steps} steps; "
        + (f"base {setting.base[1].name} ({setting.base[1].sha256[:12]})" if setting.base else "from random weights"),
        f"reported: {reported.text}"
        + (
            f", {counted(tables[0].case.nunique(), 'case')} of {counted(tables[0].subject.nunique(), 'subject')}"
            if tables
            else ""
        ),
        (
            f"learning rates chosen on {choosing.text}, with seed {request.grid.seeds[0]}; none of these subjects is"
            " reported"
            if choosing
            else "learning rates: nothing was chosen"
        ),
        (
            "means over subjects of the mean foreground (seeds, scans and sides of a subject averaged first), with 95 %"
            " bootstrap intervals over subjects; differences in Dice with Wilcoxon's signed-rank p, adjusted by Holm"
            " over all rows compared with that reference"
        ),
        (
            f"seconds per step and peak memory (resident, of the whole process): {request.jobs} trainings side by side,"
            f" {threads_each(request.jobs)} thread(s) each"
        ),
    ]
    return notes + [f"{request.lacking}: {what}: {reason}" for what, reason in failed.items()]


def _settings(setting: Setting, reported: Cases, choosing: Cases | None) -> dict[str, Any]:
    def described(cases: Cases | None) -> dict[str, Any] | None:
        if cases is None:
            return None
        if cases.dataset is not None:
            return {"dataset": cases.dataset, "cases": sorted(setting.contents[cases.dataset].subjects)}
        return {
            "folds": list(cases.folds),
            "cases": [case for fold in cases.folds for case in setting.planned.plan.folds[int(fold)].val],
        }

    grid = setting.request.grid
    return {
        "dataset": setting.planned.name,
        "plan_hash": content_hash(setting.planned.plan),
        "base_sha256": setting.base[1].sha256 if setting.base else None,
        "steps": setting.steps,
        "rows": [row.name for row in grid.rows],
        "rates": {name: list(rates) for name, rates in grid.rates.items()},
        "seeds": list(grid.seeds),
        "reported": described(reported),
        "choosing": described(choosing),
        "jobs": setting.request.jobs,
        "hippopt": __version__,
    }
