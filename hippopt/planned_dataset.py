"""A data set that was planned, as recipes and stages hand it on: where it lies, its plan, and what the plan was made
of.
"""

from dataclasses import dataclass, replace

from hippopt.artifacts.codec import load_record
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.plan_rules import load_plan
from hippopt.result_folders import FoldFolder
from hippopt.workspace import Workspace


@dataclass(frozen=True)
class PlannedDataset:
    """plan: the data set's own, or that of a run on it. fingerprint: of the cases that the plan was made of."""

    workspace: Workspace
    name: str
    plan: Plan
    fingerprint: Fingerprint

    def with_plan(self, plan: Plan) -> "PlannedDataset":
        """The same cases by another plan, such as that of a run."""
        return replace(self, plan=plan)

    def fold(self, run: str, fold: str) -> FoldFolder:
        """The files of a fold of a run on this data set."""
        return self.workspace.fold(self.name, run, fold)


def load_planned_dataset(workspace: Workspace, name: str) -> PlannedDataset:
    """Read the plan of a data set and its fingerprint.

    Raises PlanError, and StaleArtifactError where they do not belong together.
    """
    fingerprint = load_record(workspace.fingerprint(name), Fingerprint, f"hippopt_plan {name}")
    return PlannedDataset(workspace, name, load_plan(workspace.plan(name), fingerprint), fingerprint)
