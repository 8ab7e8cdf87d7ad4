"""Compare ways to fine-tune: train every combination in a process of its own, choose learning rates on cases that are not reported, and write one table."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from hippopt import __version__
from hippopt.artifacts.codec import content_hash, parse_json, write_bytes, write_json
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.methods import METHODS, check_library
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.weights import BaseCard
from hippopt.console import Console
from hippopt.errors import DatasetError, HippoptError, PlanError, TrainingError, UsageError
from hippopt.networks.base_files import default_base
from hippopt.networks.restoring import read_card
from hippopt.recipes.child_processes import Job, run_jobs, threads_each
from hippopt.recipes.comparison_grid import (
    REFERENCES,
    Cases,
    Combination,
    Contents,
    Grid,
    check_apart,
    check_base_unseen,
    check_folds_apart,
    check_labels,
    contents_of,
    make_cases,
)
from hippopt.recipes.prediction import PROVENANCE, PredictionRequest
from hippopt.recipes.training import TrainingRequest, adjusted_plan
from hippopt.reporting.comparison import markdown, plot_comparison, summary_lines
from hippopt.scoring.comparison import at_edge, choose_rate, compare, foreground, mean_dice
from hippopt.scoring.tables import read_case_table, write_csv
from hippopt.stages.adopt_base import adopt_base
from hippopt.stages.evaluate import LabelNames, evaluate
from hippopt.stages.train_fold import fold_progress
from hippopt.training.lock import fold_lock
from hippopt.training.signals import StopSignals
from hippopt.workspace import ComparisonFolder, FoldFolder, Workspace

METRICS = "metrics.csv"  # beside the masks of a data set
CHOICE_COLUMNS = ("row", "rate", "dice", "cases", "subjects", "chosen", "at_edge")


@dataclass(frozen=True)
class ComparisonRequest:
    """What the user asked of hippopt_compare. `test` or `folds`, never both; None and empty stand for the plan's or the machine's choice."""

    grid: Grid
    test: str | None = None
    folds: tuple[str, ...] = ()
    choose: tuple[str, ...] = ()
    steps: int | None = None
    base: str | None = None
    name: str = "compare"
    jobs: int = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    allow_seen: bool = False


@dataclass(frozen=True)
class Commands:
    """The commands of hippopt as a child process is given them: (data set, fold, request), (data set, request) -> arguments."""

    train: Callable[[str, str, TrainingRequest], tuple[str, ...]]
    predict: Callable[[str, PredictionRequest], tuple[str, ...]]


@dataclass(frozen=True)
class Unit:
    """One training with its scores: on the fold's own validation cases, or on the scans of `dataset`."""

    combination: Combination
    run: str
    fold: str
    dataset: str | None


@dataclass(frozen=True)
class Setting:
    """What all units share. contents: by data set, of those that are predicted."""

    workspace: Workspace
    dataset: str
    plan: Plan
    request: ComparisonRequest
    steps: int
    base: tuple[Path, BaseCard] | None
    contents: dict[str, Contents]
    folder: ComparisonFolder

    def units(self, combinations: Sequence[Combination], cases: Cases) -> list[Unit]:
        """Every fold of every combination."""
        return [
            Unit(each, each.run(self.request.name, self.plan), fold, cases.dataset) for each in combinations for fold in cases.folds
        ]  # fmt: skip

    def fold(self, unit: Unit) -> FoldFolder:
        return self.workspace.fold(self.dataset, unit.run, unit.fold)

    def masks(self, unit: Unit) -> Path:
        assert unit.dataset is not None
        return self.folder.masks(unit.dataset, unit.run)


def run_comparison(
    workspace: Workspace,
    dataset: str,
    plan: Plan,
    fingerprint: Fingerprint,
    request: ComparisonRequest,
    commands: Commands,
    console: Console,
) -> dict[str, str]:
    """Run what is not there yet, and write the table. Returns what failed, each with its reason.

    Raises HippoptError's kinds before anything is trained; Interrupted after a signal, with all that was done kept.
    """
    grid, failed = request.grid, dict[str, str]()
    reported, choosing = make_cases(workspace, plan, request.test, request.choose, request.folds, bool(grid.to_choose()))
    if request.choose and choosing is None:
        console.warn("--choose is not needed: no method has several learning rates")
    setting = _check(workspace, dataset, plan, fingerprint, request, reported, choosing, console)
    cores = threads_each(request.jobs)
    console.say(f"{len(grid.rows)} rows, {request.jobs} trainings side by side, {cores} thread{'s' if cores > 1 else ''} each")
    chosen: dict[str, float] = {}
    choices = pd.DataFrame(columns=list(CHOICE_COLUMNS))
    with StopSignals() as signals, fold_lock(setting.folder.lock):
        if choosing is not None:
            candidates = [each for row in grid.to_choose() for each in grid.candidates(row)]
            console.say(f"choosing learning rates on {choosing.text}, seed {grid.seeds[0]}")
            failed |= _run(setting, setting.units(candidates, choosing), commands, signals, console)
            chosen, choices = _choose(setting, choosing, console)
        ready = [row for row in grid.rows if row.name in chosen or row not in grid.to_choose()]
        failed |= {row.name: "no learning rate could be chosen" for row in grid.rows if row not in ready}
        final = [each for row in ready for each in grid.reported(row, chosen.get(row.name))]
        console.say(f"reported: {reported.text}")
        failed |= _run(setting, setting.units(final, reported), commands, signals, console)
        _report(setting, final, reported, choosing, choices, failed, console)
    return failed


def _check(
    workspace: Workspace, dataset: str, plan: Plan, fingerprint: Fingerprint, request: ComparisonRequest, reported: Cases,
    choosing: Cases | None, console: Console,
) -> Setting:  # fmt: skip
    """Everything that can be told beforehand."""
    grid = request.grid
    for row in grid.rows:
        check_library(row.method)
        for rate in grid.rates[row.name] or (None,):
            adjusted_plan(plan, row.method, row.rank, rate)
    others = [cases.dataset for cases in (reported, choosing) if cases is not None and cases.dataset is not None]
    contents = {name: contents_of(workspace, name) for name in others}
    if others:
        check_apart([contents_of(workspace, dataset), *(contents[name] for name in others)])
        if len(set(others)) < len(others):
            raise DatasetError(f"{others[0]} is named twice: cases that choose a rate are not reported")
        for name in others:
            check_labels(plan, contents[name].dataset)
    elif choosing is not None:
        check_folds_apart(plan, {case.id: case.subject for case in fingerprint.cases}, reported, choosing)
    base = _base(workspace, plan, request, console)
    if base is not None and not request.allow_seen:
        check_base_unseen(base[1].seen_images, base[1].name, list(contents.values()))
    steps = request.steps or plan.schedule.steps
    setting = Setting(workspace, dataset, plan, request, steps, base, contents, workspace.comparison(dataset, request.name))
    for row in grid.rows:
        every = [Combination(row, rate, seed) for rate in grid.rates[row.name] or (None,) for seed in grid.seeds]
        for cases in filter(None, (reported, choosing)):
            for unit in setting.units(every, cases):
                _check_same(setting, unit)
    return setting


def _base(workspace: Workspace, plan: Plan, request: ComparisonRequest, console: Console) -> tuple[Path, BaseCard] | None:
    needing = [row.name for row in request.grid.rows if row.needs_base]
    if not needing:
        return None
    asked = request.base or default_base(plan)
    if asked is None or str(asked).lower() == "none":
        raise UsageError(f"{needing[0]}: starts from pre-trained weights: name them with --base FILE; from random ones only scratch does")
    return adopt_base(str(asked), plan, workspace, console)


def _check_same(setting: Setting, unit: Unit) -> None:
    """Raises TrainingError where a run of this name is there that was trained otherwise."""
    path = setting.fold(unit).adapter_card
    if not path.exists():
        return
    row = unit.combination.row
    base = setting.base[1].sha256 if setting.base and row.needs_base else None
    wanted = {
        "plan_hash": content_hash(adjusted_plan(setting.plan, row.method, row.rank, unit.combination.rate)), "seed": unit.combination.seed,
        "steps": setting.steps, "minutes": None, "base_sha256": base,
    }  # fmt: skip
    found = read_card(path).settings
    changed = [f"{key} {found.get(key)} -> {value}" for key, value in wanted.items() if found.get(key) != value]
    if changed:
        raise TrainingError(f"{path.parent}: trained otherwise ({'; '.join(changed)}); give --name for a comparison of its own")


def _run(setting: Setting, units: Sequence[Unit], commands: Commands, signals: StopSignals, console: Console) -> dict[str, str]:
    """Train and score what is not there yet. Returns the failures."""
    jobs = {unit: Job(_name(unit), _commands(setting, unit, commands), setting.folder.log(unit.run, unit.fold)) for unit in units}
    left = {job.name: unit for unit, job in jobs.items() if job.commands}
    failed: dict[str, str] = {}
    if len(left) < len(units):
        console.say(f"{len(units) - len(left)} of {len(units)} are there already and kept")
    for unit in left.values():
        if unit.dataset is not None:  # scores of masks that are about to change must not outlive them
            (setting.masks(unit) / METRICS).unlink(missing_ok=True)
    bar, done = console.track(range(len(left)), "compare", len(left)), 0

    def on_done(job: Job, reason: str | None, seconds: float) -> None:
        nonlocal done
        unit = left[job.name]
        try:
            if reason is None:
                _score(setting, unit, console)
        except HippoptError as error:
            reason = str(error).splitlines()[0]
        done += 1
        next(bar, None)
        if reason is not None:
            failed[job.name] = reason
            console.warn(f"{done} of {len(left)}: {job.name} failed: {reason} (all it said: {job.log})")
        else:
            console.say(f"{done} of {len(left)}: {job.name}: Dice {mean_dice(_scores(setting, unit)):.4f}, {seconds / 60:.1f} min")

    try:
        run_jobs([jobs[unit] for unit in left.values()], setting.request.jobs, signals, on_done)
    finally:
        for _ in bar:
            pass
    return failed


def _name(unit: Unit) -> str:
    place = f"fold {unit.fold}" if unit.dataset is None else f"on {unit.dataset}"
    return f"{unit.combination.text}, {place}"


def _commands(setting: Setting, unit: Unit, commands: Commands) -> tuple[tuple[str, ...], ...]:
    """What is left to do for a unit: nothing where its scores are there."""
    request, combination, needed = setting.request, unit.combination, list[tuple[str, ...]]()
    progress = fold_progress(setting.fold(unit), unit.fold.isdigit())
    if progress != "finished":
        training = TrainingRequest(
            method=combination.row.method, base=str(setting.base[0]) if setting.base and combination.row.needs_base else None,
            rank=combination.row.rank, name=combination.suffix(request.name), steps=setting.steps, resume=progress != "new",
            allow_seen=request.allow_seen, device=request.device, seed=combination.seed, learning_rate=combination.rate,
        )  # fmt: skip
        needed.append(commands.train(setting.dataset, unit.fold, training))
    if unit.dataset is not None and not _scored(setting, unit):
        scans = setting.workspace.dataset_folder(unit.dataset) / "imagesTr"
        asked = PredictionRequest(
            source=scans, output=setting.masks(unit), folds=(unit.fold,), run=unit.run, overwrite=True, device=request.device
        )
        needed.append(commands.predict(setting.dataset, asked))
    return tuple(needed)


def _scored(setting: Setting, unit: Unit) -> bool:
    """Whether a unit's scores are there, and of the adapter that is there now."""
    if unit.dataset is None:
        return setting.fold(unit).summary.exists()
    path, card = setting.masks(unit) / PROVENANCE, setting.fold(unit).adapter_card
    if not (path.is_file() and card.is_file() and (setting.masks(unit) / METRICS).is_file()):
        return False
    try:
        made = parse_json(path.read_bytes(), path)
    except PlanError:
        return False
    return isinstance(made, dict) and made.get("adapters_sha256") == [read_card(card).sha256]


def _score(setting: Setting, unit: Unit, console: Console) -> None:
    """Score the masks of a data set; a fold's own validation has been scored by its training."""
    if unit.dataset is None:
        return
    contents = setting.contents[unit.dataset]
    names = LabelNames(contents.dataset.foreground, contents.subjects)
    labels = setting.workspace.dataset_folder(unit.dataset) / "labelsTr"
    table, faults = evaluate(setting.masks(unit), labels, names, os.cpu_count() or 1, console)
    if faults or set(table.case) != set(contents.subjects):
        raise DatasetError((faults or [f"{setting.masks(unit)}: {len(contents.subjects) - table.case.nunique()} scans without a mask"])[0])
    write_csv(setting.masks(unit) / METRICS, table)


def _scores(setting: Setting, unit: Unit) -> pd.DataFrame:
    """Mean-foreground scores of a unit, a row a case."""
    path = setting.fold(unit).metrics if unit.dataset is None else setting.masks(unit) / METRICS
    return foreground(read_case_table(path))


def _all_scores(setting: Setting, combination: Combination, cases: Cases) -> pd.DataFrame | None:
    """Of all folds of a combination; None where one is missing."""
    units = setting.units([combination], cases)
    if not all(_scored(setting, unit) for unit in units):
        return None
    return pd.concat([_scores(setting, unit) for unit in units], ignore_index=True)


def _choose(setting: Setting, choosing: Cases, console: Console) -> tuple[dict[str, float], pd.DataFrame]:
    """(rate of each row that has one, table of all candidates)."""
    chosen, rows = {}, []
    for row in setting.request.grid.to_choose():
        found = {each.rate: _all_scores(setting, each, choosing) for each in setting.request.grid.candidates(row)}
        scores = {rate: table for rate, table in found.items() if rate is not None and table is not None}
        if not scores:
            continue
        chosen[row.name] = best = choose_rate(scores)
        rows += [
            (
                row.name,
                rate,
                mean_dice(table),
                table.case.nunique(),
                table.subject.nunique(),
                rate == best,
                rate == best and at_edge(best, list(scores)),
            )
            for rate, table in scores.items()
        ]
        edge = ": no rate beyond it was tried" if at_edge(best, list(scores)) else ""
        console.say(
            f"{row.name}: rate {best:g}{edge} ({', '.join(f'{rate:g} Dice {mean_dice(table):.4f}' for rate, table in scores.items())})"
        )
    return chosen, pd.DataFrame(rows, columns=list(CHOICE_COLUMNS))


def _report(
    setting: Setting, final: Sequence[Combination], reported: Cases, choosing: Cases | None, choices: pd.DataFrame, failed: dict[str, str],
    console: Console,
) -> None:  # fmt: skip
    """Write tables and plot, and say the table."""
    folder, tables, costs = setting.folder, [], []
    for combination in final:
        scores = _all_scores(setting, combination, reported)
        if scores is not None:
            tables.append(scores.assign(row=combination.row.name, seed=combination.seed))
            costs += [_cost(setting, unit) for unit in setting.units([combination], reported)]
    write_csv(folder.failures, pd.DataFrame(list(failed.items()), columns=["what", "reason"]))
    write_csv(folder.choices, choices)
    notes = _notes(setting, reported, choosing, tables, failed)
    table = pd.DataFrame()
    if tables:
        cases = pd.concat(tables, ignore_index=True)
        write_csv(folder.cases, cases)
        table = compare(cases, REFERENCES).merge(_cost_table(pd.DataFrame(costs)), on="row")
        write_csv(folder.table, table)
        plot_comparison(table, folder.plot)
    write_bytes(folder.table.with_suffix(".md"), markdown(table, choices, notes, REFERENCES).encode())
    write_json(folder.settings, _settings(setting, reported, choosing))
    for line in summary_lines(table, REFERENCES):
        console.say(line)
    console.say(f"table: {folder.table.with_suffix('.md')} and .csv; plot: {folder.plot}; a row a case: {folder.cases}")


def _cost(setting: Setting, unit: Unit) -> dict[str, Any]:
    folder, row = setting.fold(unit), unit.combination.row
    card = read_card(folder.adapter_card)
    trained = dict(card.trained_parameters)
    apart = {name: trained.pop(name, 0) for name in ("factors", "decoder", "head")}
    initial = folder.initial_factors.stat().st_size / 1e6 if METHODS[row.method].decomposes else 0.0
    return {
        "row": row.name, "method": row.method_name, "rank": row.rank, "rate": unit.combination.rate, "trained": sum(card.trained_parameters.values()),
        **apart, "other": sum(trained.values()), "seconds_a_step": float(pd.read_csv(folder.log).seconds_a_step.median()),
        "peak_memory_mb": card.settings.get("peak_memory_mb"), "adapter_mb": folder.adapter.stat().st_size / 1e6, "initial_mb": initial,
    }  # fmt: skip


def _cost_table(costs: pd.DataFrame) -> pd.DataFrame:
    """A row a row of the comparison: the median of its steps' times, the highest of its peaks."""
    rules = {name: "first" for name in costs.columns if name != "row"} | {
        "seconds_a_step": "median",
        "peak_memory_mb": "max",
        "adapter_mb": "max",
    }
    table = costs.groupby("row", sort=False).agg(rules).reset_index()
    return table.astype({"rate": float})


def _notes(setting: Setting, reported: Cases, choosing: Cases | None, tables: Sequence[pd.DataFrame], failed: dict[str, str]) -> list[str]:
    request = setting.request
    trained = "all its cases" if reported.dataset else f"the other folds' cases, for fold {' '.join(reported.folds)}"
    notes = [
        f"trained on {setting.dataset}: {trained}; {setting.steps} steps; "
        + (f"base {setting.base[1].name} ({setting.base[1].sha256[:12]})" if setting.base else "from random weights"),
        f"reported: {reported.text}" + (f", {tables[0].case.nunique()} cases of {tables[0].subject.nunique()} subjects" if tables else ""),
        f"learning rates chosen on {choosing.text}, with seed {request.grid.seeds[0]}; none of these subjects is reported"
        if choosing else "learning rates: nothing was chosen",
        "means over subjects of the mean foreground (seeds, scans and sides of a subject averaged first), with 95 % bootstrap intervals over subjects; differences "
        "in Dice with Wilcoxon's signed-rank p, adjusted by Holm over all rows compared with that reference",
        f"seconds a step and peak memory (resident, of the whole process): {request.jobs} trainings side by side, {threads_each(request.jobs)} thread(s) each",
    ]  # fmt: skip
    return notes + [f"failed: {what}: {reason}" for what, reason in failed.items()]


def _settings(setting: Setting, reported: Cases, choosing: Cases | None) -> dict[str, Any]:
    def described(cases: Cases | None) -> dict[str, Any] | None:
        if cases is None:
            return None
        if cases.dataset is not None:
            return {"dataset": cases.dataset, "cases": sorted(setting.contents[cases.dataset].subjects)}
        return {"folds": list(cases.folds), "cases": [case for fold in cases.folds for case in setting.plan.folds[int(fold)].val]}

    grid = setting.request.grid
    return {
        "dataset": setting.dataset, "plan_hash": content_hash(setting.plan), "base_sha256": setting.base[1].sha256 if setting.base else None,
        "steps": setting.steps, "rows": [row.name for row in grid.rows], "rates": {name: list(rates) for name, rates in grid.rates.items()},
        "seeds": list(grid.seeds), "reported": described(reported), "choosing": described(choosing), "jobs": setting.request.jobs,
        "hippopt": __version__,
    }  # fmt: skip
