"""What a file of hippopt_export holds where hippopt_best chose several runs or a post-processing: best.json, and a
model file for each run.
"""

import re
from collections.abc import Sequence

from hippopt.artifacts.codec import SCHEMA, Record
from hippopt.artifacts.model_file import Member

SET_MANIFEST, BEST = "models.json", "best.json"
SET_ALLOWED = re.compile(r"models\.json|best\.json|models/[A-Za-z0-9][A-Za-z0-9_-]*\.zip")


class ModelSet(Record, frozen=True, kw_only=True):
    """runs: in the order of the choice. Earlier versions of hippopt say of such a file that it has no manifest."""

    schema: int = SCHEMA
    hippopt: str
    dataset: str
    runs: tuple[str, ...]
    members: tuple[Member, ...]


def model_member(run: str) -> str:
    """The member that is the model file of a run."""
    return f"models/{run}.zip"


def set_fault(found: ModelSet, sizes: dict[str, int]) -> str:
    """What is wrong with the members; empty where nothing is. sizes: of all members but the manifest."""
    wanted: Sequence[str] = (BEST, *map(model_member, found.runs))
    if not found.runs or set(sizes) != set(wanted) or {member.name for member in found.members} != set(wanted):
        odd = sorted(set(sizes) ^ set(wanted)) or ["a run"]
        return f"its runs and its members do not fit together ({odd[0]})"
    wrong = [member.name for member in found.members if sizes[member.name] != member.size]
    return f"its member {wrong[0]} has not the size that its manifest says" if wrong else ""
