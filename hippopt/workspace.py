"""Workspace: with result_folders, the only place that knows a folder or file name under raw_data/, plans/,
preprocessed/ and results/.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from hippopt.artifacts.dataset import FOLDER_PATTERN
from hippopt.artifacts.fold_names import fold_of_folder, folder_of_fold
from hippopt.errors import DatasetError, UsageError
from hippopt.result_folders import (
    INITIAL_FACTORS,
    ComparisonFolder,
    FoldFolder,
    PretrainingFolder,
    TrainingFolder,
)

PROVENANCE = "prediction.json"  # beside the masks of hippopt_predict: what made them


@dataclass(frozen=True)
class Workspace:
    """A root folder with the four workspace folders in it."""

    root: Path

    @property
    def raw_data(self) -> Path:
        return self.root / "raw_data"

    @property
    def bases(self) -> Path:
        return self.root / "results" / "bases"

    def dataset_folder(self, dataset: str) -> Path:
        return self.raw_data / dataset

    def fingerprint(self, dataset: str) -> Path:
        return self.root / "plans" / dataset / "fingerprint.json"

    def plan(self, dataset: str) -> Path:
        return self.root / "plans" / dataset / "plan.json"

    def preprocessed(self, dataset: str) -> Path:
        return self.root / "preprocessed" / dataset

    def dataset_results(self, dataset: str) -> Path:
        return self.root / "results" / dataset

    def best(self, dataset: str) -> Path:
        """What hippopt_best chose to predict with."""
        return self.dataset_results(dataset) / "best.json"

    def untuned(self, dataset: str, base_sha256: str, fingerprint_hash: str) -> Path:
        """Scores of the data set's scans by a base as it is, before any training."""
        return self.dataset_results(dataset) / f"base-{base_sha256[:12]}-{fingerprint_hash[:8]}.csv"

    def run(self, dataset: str, run: str) -> Path:
        return self.dataset_results(dataset) / run

    def run_plan(self, dataset: str, run: str) -> Path:
        """The plan that a run was trained with: later edits of the data set's plan leave it alone."""
        return self.run(dataset, run) / "plan.json"

    def run_fingerprint(self, dataset: str, run: str) -> Path:
        """The fingerprint that a run's plan was made of, kept with the run once the data set has another one."""
        return self.run(dataset, run) / "fingerprint.json"

    def run_figures(self, dataset: str, run: str) -> Path:
        """What an installed run had reached out of fold where it was trained."""
        return self.run(dataset, run) / "figures.json"

    def run_contrast(self, dataset: str, run: str) -> Path:
        """What came with an installed model in place of its training scans' fingerprint."""
        return self.run(dataset, run) / "contrast.json"

    def run_cohort(self, dataset: str, run: str) -> Path:
        """What came with an installed model of the volumes of its training scans."""
        return self.run(dataset, run) / "cohort.json"

    def run_calibration(self, dataset: str, run: str) -> Path:
        """How the signals of the run's networks tell the Dice of their masks."""
        return self.run(dataset, run) / "calibration.json"

    def installed_manifest(self, dataset: str, run: str) -> Path:
        """The manifest of the model file that a run came from."""
        return self.run(dataset, run) / "model.json"

    def run_report(self, dataset: str, run: str) -> Path:
        """The page of hippopt_report about a run."""
        return self.run(dataset, run) / "report.html"

    def initial_factors(self, dataset: str, run: str) -> Path:
        """The factors of LoRA-PT before training, once for all folds of a run."""
        return self.run(dataset, run) / INITIAL_FACTORS

    def out_of_fold(self, dataset: str, run: str) -> Path:
        """Scores of all validated folds of a run together."""
        return self.run(dataset, run) / "out_of_fold.csv"

    def short_name(self, dataset: str) -> str:
        """The name without its number where no other data set here has it, else the whole name: what a user
        may type.
        """
        alike = [name for name in self.datasets() if name[11:] == dataset[11:]]
        return dataset[11:] if len(alike) <= 1 else dataset

    def fold(self, dataset: str, run: str, fold: str) -> FoldFolder:
        return FoldFolder(self.run(dataset, run) / folder_of_fold(fold))

    def base(self, sha256: str) -> Path:
        return self.bases / f"{sha256[:12]}.safetensors"

    def pretraining(self, name: str) -> PretrainingFolder:
        return PretrainingFolder(self.root / "results" / "pretraining" / name)

    def head_locator(self, name: str) -> TrainingFolder:
        """Where the locator of a model that is made from label maps is trained."""
        return TrainingFolder(self.root / "results" / "locators" / name)

    def decomposition(self, base_sha256: str, rank: str, key: str) -> Path:
        """Initial factors of a base, kept for later runs. `key`: hash of all that they depend on."""
        return self.bases / f"{base_sha256[:12]}-rank{rank}-{key[:8]}.safetensors"

    def comparison(self, dataset: str, name: str) -> ComparisonFolder:
        return ComparisonFolder(self.dataset_results(dataset) / "comparisons" / name)

    def compared_runs(self, dataset: str) -> set[str]:
        """Runs that comparisons of methods trained, told by the logs that they keep."""
        folders = [ComparisonFolder(path) for path in self.dataset_results(dataset).glob("comparisons/*")]
        every = [(run, fold) for run in self.runs(dataset) for fold in self.trained_folds(dataset, run)]
        return {run for run, fold in every if any(folder.log(run, fold).exists() for folder in folders)}

    def datasets(self) -> list[str]:
        """Names of the data sets that have a raw-data folder, a plan or results here."""
        names: set[str] = set()
        for folder in (self.raw_data, self.root / "plans", self.root / "results"):
            if folder.is_dir():
                names |= {path.name for path in folder.iterdir() if path.is_dir() and FOLDER_PATTERN.match(path.name)}
        return sorted(names)

    def resolve(self, dataset: str | None) -> str:
        """The full name of a data set given as `4`, `004`, `Name` or `Dataset004_Name`, or of the only one.

        Raises UsageError when none or several fit.
        """
        names = self.datasets()
        if dataset is None:
            fitting = names
        elif dataset.isdigit():
            fitting = [name for name in names if int(name[7:10]) == int(dataset)]
        else:
            fitting = [name for name in names if dataset in (name, name[11:])]
        if len(fitting) == 1:
            return fitting[0]
        there = (
            f"there are {', '.join(names)}"
            if names
            else f"{self.raw_data} holds none; import one with `hippopt_import`"
        )
        if dataset is None:
            raise UsageError(f"name a data set: {there}" if names else f"no data set: {there}")
        if fitting:
            raise UsageError(f"data set {dataset!r} fits {', '.join(fitting)}; write the whole name")
        raise UsageError(f"data set {dataset!r} not found under {self.root.resolve()}; {there}")

    def trained_folds(self, dataset: str, run: str) -> list[str]:
        """Names of the finished folds of a run."""
        return [fold_of_folder(card.parent.name) for card in sorted(self.run(dataset, run).glob("*/adapter.json"))]

    def begun_folds(self, dataset: str, run: str) -> list[str]:
        """Names of the folds of a run that are unfinished, or being trained."""
        found = {
            path.parent.name
            for name in ("resume*.safetensors", "lock.json")
            for path in self.run(dataset, run).glob(f"*/{name}")
        }
        return [fold_of_folder(folder) for folder in sorted(found)]

    def locks(self, dataset: str) -> list[Path]:
        """Lock files of the folds that are being trained, and of those whose process is gone."""
        return sorted(self.dataset_results(dataset).glob("*/*/lock.json"))

    def runs(self, dataset: str) -> list[str]:
        """Runs of a data set that hold at least one finished fold."""
        folder = self.dataset_results(dataset)
        if not folder.is_dir():
            return []
        # a hidden folder is one that is being built, or was when its process was killed
        whole = (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        return sorted(path.name for path in whole if any(path.glob("*/adapter.json")))


def dataset_name(number: int, name: str) -> str:
    """`DatasetNNN_Name`. Raises DatasetError for a number or a name that nnU-Net's layout does not allow."""
    if not 0 < number < 1000:
        raise DatasetError(f"--id {number}: a data set's number is from 1 to 999")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise DatasetError(f"--name {name!r}: letters, digits, - and _ only")
    return f"Dataset{number:03d}_{name}"
