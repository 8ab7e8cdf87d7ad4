"""The folders under results/ and the names of the files in them: of a fold, a pre-training, a comparison."""

from dataclasses import dataclass
from pathlib import Path

INITIAL_FACTORS = "initial.safetensors"


@dataclass(frozen=True)
class TrainingFolder:
    """The files that every training keeps while it runs, and how it went."""

    path: Path

    @property
    def resume(self) -> Path:
        return self.path / "resume.safetensors"

    @property
    def resume_previous(self) -> Path:
        return self.path / "resume_previous.safetensors"

    @property
    def run_settings(self) -> Path:
        return self.path / "run.json"

    @property
    def lock(self) -> Path:
        return self.path / "lock.json"

    @property
    def log(self) -> Path:
        return self.path / "log.csv"

    @property
    def progress(self) -> Path:
        return self.path / "progress.png"

    @property
    def finished(self) -> Path:
        """How a training ended that keeps its last state, of a locator."""
        return self.path / "finished.json"


@dataclass(frozen=True)
class FoldFolder(TrainingFolder):
    """The files of one trained fold."""

    @property
    def adapter(self) -> Path:
        return self.path / "adapter.safetensors"

    @property
    def adapter_card(self) -> Path:
        return self.path / "adapter.json"

    @property
    def initial_factors(self) -> Path:
        """Of the run that the fold belongs to."""
        return self.path.parent / INITIAL_FACTORS

    @property
    def best_adapter(self) -> Path:
        return self.path / "adapter_best.safetensors"

    @property
    def best_adapter_card(self) -> Path:
        return self.path / "adapter_best.json"

    @property
    def locator(self) -> Path:
        return self.path / "locator.safetensors"

    @property
    def locator_card(self) -> Path:
        return self.path / "locator.json"

    @property
    def base_report(self) -> Path:
        return self.path / "base_report.csv"

    @property
    def validation(self) -> Path:
        return self.path / "validation"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def signals(self) -> Path:
        """Signals of the network's own probabilities for its validation cases, beside their true Dice."""
        return self.path / "signals.csv"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"


@dataclass(frozen=True)
class PretrainingFolder(TrainingFolder):
    """The files of one pre-training."""

    @property
    def base(self) -> Path:
        return self.path / "base.safetensors"

    @property
    def card(self) -> Path:
        return self.path / "base.json"


@dataclass(frozen=True)
class ComparisonFolder:
    """The files of one comparison of methods. What it trained are runs like others."""

    path: Path

    @property
    def table(self) -> Path:
        """As CSV; the same as Markdown beside it, as `.md`."""
        return self.path / "comparison.csv"

    @property
    def settings(self) -> Path:
        return self.path / "comparison.json"

    @property
    def plot(self) -> Path:
        return self.path / "comparison.png"

    @property
    def cases(self) -> Path:
        """Scores of every case, row and seed that the table is made of."""
        return self.path / "cases.csv"

    @property
    def lock(self) -> Path:
        return self.path / "lock.json"

    @property
    def choices(self) -> Path:
        """Dice of every learning rate on the cases that choose."""
        return self.path / "choices.csv"

    @property
    def failures(self) -> Path:
        return self.path / "failures.csv"

    @property
    def curve(self) -> Path:
        """Labelled scans against Dice, of several comparisons on the data
        set to which the folder belongs; as Markdown beside it, as `.md`.
        """
        return self.path / "curve.csv"

    @property
    def curve_plot(self) -> Path:
        return self.path / "curve.png"

    @property
    def curve_cases(self) -> Path:
        """Scores of every case, number of scans, row and seed."""
        return self.path / "curve_cases.csv"

    def masks(self, dataset: str, run: str) -> Path:
        """Of a data set's scans by a run."""
        return self.path / "masks" / dataset / run

    def log(self, run: str, fold: str) -> Path:
        return self.path / "logs" / f"{run}-{fold}.log"
