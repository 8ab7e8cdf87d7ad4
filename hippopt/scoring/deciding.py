"""Which runs and which post-processing are kept, and the table that says why."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from msgspec.structs import replace

from hippopt.artifacts.best import Candidate, Difference
from hippopt.artifacts.postprocessing import Postprocessing
from hippopt.console import counted
from hippopt.scoring.candidates import NOTHING, Together, with_holes
from hippopt.scoring.choosing import Weighed, can_pass, simplest, weigh
from hippopt.scoring.statistics import PairedDifference, bootstrap_interval, subject_means


@dataclass(frozen=True)
class Decision:
    """candidates: the table; together and postprocessing: what was chosen; notes: for people."""

    candidates: tuple[Candidate, ...]
    together: Together
    postprocessing: Postprocessing
    notes: tuple[str, ...]


def decide(
    scores: Mapping[tuple[Together, Postprocessing], pd.DataFrame], single: str, sizes: Mapping[str, float]
) -> Decision:
    """Choose by the rule of scoring/choosing.py.

    Args:
        scores: (runs together, post-processing) -> mean-foreground scores, a row per case; the same cases everywhere.
        single: the best single run.
        sizes: by run, how many parameters it trained.
    """
    plain = {runs: table for (runs, settings), table in scores.items() if settings.nothing}
    singles = {runs[0]: table for runs, table in plain.items() if len(runs) == 1}
    subjects = singles[single].subject.nunique()
    rows = [
        _row((name,), NOTHING, table, "run", kept=name == single, why=_why_run(name, single))
        for name, table in singles.items()
    ]
    by_name = {" + ".join(runs): runs for runs in plain if len(runs) > 1}
    weighed = weigh({name: plain[runs] for name, runs in by_name.items()}, singles[single])
    passing = {each.name: plain[by_name[each.name]] for each in weighed if each.passes}
    by_runs = {name: 1e12 * len(runs) + sum(sizes[run] for run in runs) for name, runs in by_name.items()}
    winner = simplest(passing, by_runs) if passing else None
    chosen = by_name[winner] if winner else (single,)
    rows += [
        _weighed_row(each, by_name[each.name], NOTHING, plain, (single, each.name == winner), "ensemble")
        for each in weighed
    ]
    more, tidy = _decide_postprocessing({s: t for (runs, s), t in scores.items() if runs == chosen}, chosen)
    notes = [
        f"{counted(subjects, 'subject')}: too few for any {step} to be told from chance"
        for step, count in (("ensemble", len(weighed)), ("post-processing", 2 * len(more)))
        if count and not can_pass(subjects, count)
    ]
    return Decision(tuple(rows + more), chosen, tidy, tuple(notes))


def _why_run(name: str, single: str) -> str:
    return "highest Dice, or tied with it and smaller" if name == single else ""


def _decide_postprocessing(
    tables: Mapping[Postprocessing, pd.DataFrame], runs: Together
) -> tuple[list[Candidate], Postprocessing]:
    """(the rows, what is done to masks). Filled holes come on top of what removes parts, where both are kept."""
    alone = {each.text: each for each in tables if not each.nothing and not _both(each)}
    weighed = weigh({name: tables[each] for name, each in alone.items()}, tables[NOTHING], distances=True)
    order = {name: float(place) for place, name in enumerate(alone)}
    removing = {each.name: tables[alone[each.name]] for each in weighed if each.passes and not _fills(alone, each)}
    kept = alone[simplest(removing, order)] if removing else NOTHING
    fills = any(each.passes and _fills(alone, each) for each in weighed)
    if fills:
        both = with_holes(kept)
        kept = both if tables[both].dice.mean() >= tables[kept].dice.mean() else kept
    rows = []
    for each in weighed:
        held = (" + ".join(runs), _part(each, alone, kept))
        own = alone[each.name]
        rows.append(_weighed_row(each, runs, own, {runs: tables[own]}, held, "postprocessing"))
    return rows, kept


def _both(settings: Postprocessing) -> bool:
    return settings.fill_holes and settings != Postprocessing(fill_holes=True)


def _fills(alone: Mapping[str, Postprocessing], each: Weighed) -> bool:
    return alone[each.name].fill_holes


def _part(each: Weighed, alone: Mapping[str, Postprocessing], kept: Postprocessing) -> bool:
    """Whether a post-processing is part of what was kept."""
    own = alone[each.name]
    if own.fill_holes:
        return kept.fill_holes
    return (own.keep, own.islands_below_mm3) == (kept.keep, kept.islands_below_mm3)


def _weighed_row(
    weighed: Weighed,
    runs: Together,
    settings: Postprocessing,
    tables: Mapping[Together, pd.DataFrame],
    held: tuple[str, bool],
    step: str,
) -> Candidate:
    """held: (the name of what it is held against, whether it was kept)."""
    against, kept = held
    why = weighed.why if kept or not weighed.passes else f"{weighed.why}, but not more than with a simpler one"
    row = _row(runs, settings, tables[runs], step, kept, why)
    return replace(
        row,
        against=against,
        dice_difference=_difference(weighed.dice, weighed.dice_p),
        hd95_difference=_difference(weighed.hd95, weighed.hd95_p) if weighed.hd95 else None,
    )


def _difference(found: PairedDifference, p: float) -> Difference:
    return Difference(
        mean=_known(found.mean),
        low=_known(found.low),
        high=_known(found.high),
        p_holm=_known(p),
        subjects=found.n_subjects,
    )


def _row(runs: Together, settings: Postprocessing, table: pd.DataFrame, step: str, kept: bool, why: str) -> Candidate:
    known = table[table.dice.notna()]
    low, high = bootstrap_interval(known.dice.to_numpy(dtype=float), known.subject.to_numpy(dtype=str))
    return Candidate(
        name=settings.text if step == "postprocessing" else " + ".join(runs),
        step=step,
        runs=runs,
        postprocessing=settings,
        cases=int(table.case.nunique()),
        subjects=int(table.subject.nunique()),
        dice=_mean(table, "dice"),
        dice_low=_known(low),
        dice_high=_known(high),
        hd95_mm=_mean(table, "hd95_mm"),
        nsd_1mm=_mean(table, "nsd_1mm"),
        kept=kept,
        why=why,
    )


def _mean(table: pd.DataFrame, column: str) -> float | None:
    known = table[table[column].notna()]
    if known.empty:
        return None
    return float(subject_means(known[column].to_numpy(dtype=float), known.subject.to_numpy(dtype=str)).mean())


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
