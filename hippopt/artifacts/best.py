"""best.json: which trained runs predict together and what is done to their masks, with the evidence for it."""

from collections.abc import Mapping

import msgspec

from hippopt.artifacts.codec import SCHEMA, Record, content_hash
from hippopt.artifacts.plan import PLANNED_ADAPTER, NetworkSettings, Plan
from hippopt.artifacts.postprocessing import Postprocessing


class ComparedRun(Record, frozen=True, kw_only=True):
    """A run as it was when it was compared.

    adapters: fold -> sha256 of its tensors; trained_parameters: of one fold.
    """

    plan_hash: str
    adapters: dict[str, str]
    trained_parameters: int


class Difference(Record, frozen=True, kw_only=True):
    """Of paired subjects, candidate minus what it is held against: mean, 95 % bootstrap interval, and Wilcoxon's p
    adjusted by Holm over all tests of the same step. None where undefined.
    """

    mean: float | None
    low: float | None
    high: float | None
    p_holm: float | None
    subjects: int


class Candidate(Record, frozen=True, kw_only=True):
    """One way to predict, and what it reached out of fold (means over subjects of the mean foreground).

    step: `run`, `ensemble` or `postprocessing`; against: the name of the candidate that the differences are to; kept:
    whether its step chose it; why: in words.
    """

    name: str
    step: str
    runs: tuple[str, ...]
    postprocessing: Postprocessing
    cases: int
    subjects: int
    dice: float | None
    dice_low: float | None
    dice_high: float | None
    hd95_mm: float | None
    nsd_1mm: float | None
    against: str | None = None
    dice_difference: Difference | None = None
    hd95_difference: Difference | None = None
    kept: bool = False
    why: str = ""


class Best(Record, frozen=True, kw_only=True):
    """What hippopt_best chose for a data set.

    runs: whose networks predict together, the one first whose calibration judges their masks. rule: how it was chosen.
    compared: run name -> what it was. left_out: run name -> why it was not compared.
    """

    schema: int = SCHEMA
    hippopt: str
    dataset: str
    runs: tuple[str, ...]
    postprocessing: Postprocessing
    rule: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    compared: dict[str, ComparedRun]
    left_out: dict[str, str]

    @property
    def text(self) -> str:
        """The choice in a few words."""
        return f"{' and '.join(self.runs)}, {self.postprocessing.text}"

    def renamed(self, names: Mapping[str, str]) -> "Best":
        """The same record with the runs under other names; for a model that is installed under another one."""

        def new(runs: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(names.get(run, run) for run in runs)

        return msgspec.structs.replace(
            self,
            runs=new(self.runs),
            candidates=tuple(msgspec.structs.replace(each, runs=new(each.runs)) for each in self.candidates),
            compared={names.get(run, run): found for run, found in self.compared.items()},
        )


def stale_reason(best: Best, adapters: Mapping[str, Mapping[str, str]]) -> str:
    """Why a choice does not hold for the networks that are here; empty where it does.

    adapters: run -> fold -> sha256, of the runs that are here.
    """
    for run in best.runs:
        recorded = best.compared.get(run)
        if recorded is None:
            return f"its own table lacks run {run}"
        if run not in adapters:
            return f"run {run} is gone"
        for fold, sha256 in recorded.adapters.items():
            if fold not in adapters[run]:
                return f"fold {fold} of run {run} is gone"
            if adapters[run][fold] != sha256:
                return f"fold {fold} of run {run} was trained anew since"
    return "" if best.runs else "it names no run"


def prediction_hash(plan: Plan) -> str:
    """Hash what a plan says of scans and classes: networks of plans that agree in it can predict together.

    How they were trained, and what they are made of, may differ.
    """
    same = NetworkSettings(size="any", hidden_size=0, mlp_dim=0, num_heads=0, feature_size=0)
    schedule = msgspec.structs.replace(plan.schedule, steps=0, learning_rate={}, steps_on_base=None)
    return content_hash(
        msgspec.structs.replace(
            plan,
            network=same,
            adapter=PLANNED_ADAPTER,
            schedule=msgspec.structs.replace(schedule, full_rate_on_base=None),
            batch_size=0,
            seed=0,
            folds=(),
            reasons={},
            fingerprint_hash="",
            largest_scan_mm=(0.0, 0.0, 0.0),
        )
    )
