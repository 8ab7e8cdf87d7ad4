"""A model file of hippopt_export, opened: its members are checked one by one before anything of it is used."""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch

from hippopt.artifacts.calibration import Calibration, check_calibration
from hippopt.artifacts.checked_zip import CHUNK, CheckedZip, open_zip
from hippopt.artifacts.codec import R, Record, content_hash, decode, parse_json, write_atomically
from hippopt.artifacts.cohort import Cohort
from hippopt.artifacts.methods import METHODS
from hippopt.artifacts.model_file import (
    ALLOWED,
    BASE_CARD,
    BASE_WEIGHTS,
    DATASET_NAME,
    FIGURES,
    MANIFEST,
    RUN,
    RUN_NAME,
    ModelManifest,
    OutOfFold,
    UsualContrast,
    missing_and_stray,
)
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.plan_rules import check_plan
from hippopt.artifacts.weights import AdapterCard, BaseCard
from hippopt.console import Console
from hippopt.errors import HippoptError, PlanError, WeightsError
from hippopt.networks.initial_factors import parse_factors
from hippopt.networks.locator import restore_locator
from hippopt.networks.tensor_files import parse_state
from hippopt.networks.whole_model import AdapterParts, check_model

Tensors = Mapping[str, torch.Tensor]
JUDGED_BY: dict[str, type[Record]] = {
    "contrast.json": UsualContrast,
    "cohort.json": Cohort,
    "calibration.json": Calibration,
    FIGURES: OutOfFold,
}


@dataclass(frozen=True)
class ModelFile:
    """An open model file whose names, sizes and manifest were checked; its contents not yet."""

    archive: CheckedZip
    manifest: ModelManifest

    @property
    def path(self) -> Path:
        return self.archive.path

    def source(self, name: str) -> Path:
        """How a member is named in errors."""
        return self.path / name


@contextlib.contextmanager
def open_model(path: Path) -> Iterator[ModelFile]:
    """Raises WeightsError where it is no model file, or one that no hippopt_export made."""
    with open_zip(path, ALLOWED) as archive:
        if MANIFEST not in archive.sizes:
            raise WeightsError(f"{path}: no {MANIFEST} in it; give a file that hippopt_export made")
        try:
            manifest = decode(parse_json(archive.text(MANIFEST), path / MANIFEST), ModelManifest, path / MANIFEST)
        except PlanError as error:
            raise WeightsError(f"{error}; or use the hippopt that made it") from None
        fault = _fault(manifest, {name: size for name, size in archive.sizes.items() if name != MANIFEST})
        if fault:
            raise WeightsError(f"{path}: {fault}; refused, nothing was written")
        yield ModelFile(archive, manifest)


def _fault(manifest: ModelManifest, sizes: Mapping[str, int]) -> str:
    if not DATASET_NAME.fullmatch(manifest.dataset) or not RUN_NAME.fullmatch(manifest.run):
        return f"{manifest.dataset!r} and {manifest.run!r} are no names of a data set and a run"
    listed = {member.name: member.size for member in manifest.members}
    if len(listed) != len(manifest.members) or set(listed) != set(sizes):
        odd = sorted(set(listed) ^ set(sizes))
        return f"its manifest does not list its members ({odd[0] if odd else 'a name stands twice'})"
    wrong = [name for name, size in sizes.items() if listed[name] != size]
    if wrong:
        return f"its member {wrong[0]} has {sizes[wrong[0]]} bytes, its manifest says {listed[wrong[0]]}"
    missing, stray = missing_and_stray(manifest, list(sizes))
    if not manifest.folds or missing:
        return f"incomplete, {missing[0] if missing else 'without a fold'} is missing"
    return f"its member {stray[0]!r} does not belong to a model of method {manifest.method}" if stray else ""


def check_hashes(model: ModelFile, console: Console) -> None:
    """Compare each member with the hash that the manifest states. Raises WeightsError naming the first that differs."""
    total = sum(member.size // CHUNK + 1 for member in model.manifest.members)
    bar = console.track(range(total), "check", total)
    for member in model.manifest.members:
        digest = hashlib.sha256()
        for data in model.archive.chunks(member.name):
            digest.update(data)
            next(bar, None)
        if digest.hexdigest() != member.sha256:
            raise WeightsError(
                f"{model.path}: its member {member.name} is not what its manifest names; copy the file anew"
            )
    for _ in bar:
        pass


def check_contents(model: ModelFile, outside: Tensors | None, console: Console) -> None:
    """Raises where a record does not decode, or the parts do not belong together."""
    manifest, archive = model.manifest, model.archive
    try:
        plan = check_plan(_record(model, f"{RUN}plan.json", Plan), model.source(f"{RUN}plan.json"))
        if plan.dataset != manifest.dataset:
            raise WeightsError(
                f"{model.path}: its plan is for {plan.dataset}, its manifest names {manifest.dataset}; refused"
            )
        for name, kind in JUDGED_BY.items():
            if f"{RUN}{name}" in archive.sizes:
                record = _record(model, f"{RUN}{name}", kind)
                if isinstance(record, Calibration):
                    check_calibration(record, model.source(f"{RUN}{name}"))
        initial = None
        if METHODS[manifest.method].decomposes:
            name = f"{RUN}initial.safetensors"
            initial, _ = parse_factors(archive.read(name), model.source(name))
        check_model(plan, _base(model, outside), initial, _adapters(model, plan, console))
        _check_locators(model, plan)
    except HippoptError as error:
        raise WeightsError(f"{str(error).splitlines()[0]} (nothing was written)") from None


def _check_locators(model: ModelFile, plan: Plan) -> None:
    """Raises where a fold's locator is missing, damaged or of another plan; or where the plan has none."""
    for fold in model.manifest.folds:
        card, weights = (f"{RUN}{fold}/locator.{ending}" for ending in ("json", "safetensors"))
        if (card in model.archive.sizes) != (plan.locator is not None):
            word = "misses" if plan.locator is not None else "has, against its plan,"
            raise WeightsError(f"{model.path}: it {word} the locator of {fold}; export it anew")
        if plan.locator is not None:
            tensors = parse_state(model.archive.read(weights), model.source(weights))
            restore_locator(model.archive.text(card), tensors, plan, model.source(weights), model.source(card))


def _base(model: ModelFile, outside: Tensors | None) -> tuple[Tensors, BaseCard] | None:
    entry = model.manifest.base
    if entry is None:
        return None
    card = _record(model, BASE_CARD, BaseCard)
    if (card.sha256, card.name) != (entry.sha256, entry.name):
        raise WeightsError(
            f"{model.source(BASE_CARD)}: not the card of the base that the manifest names; copy the file anew"
        )
    if not entry.included:
        assert outside is not None
        return outside, card
    weights = next(member for member in model.manifest.members if member.name == BASE_WEIGHTS)
    if weights.sha256 != entry.sha256:
        raise WeightsError(f"{model.source(BASE_WEIGHTS)}: not the base that the manifest names; copy the file anew")
    return parse_state(model.archive.read(BASE_WEIGHTS), model.source(BASE_WEIGHTS)), card


def _adapters(model: ModelFile, plan: Plan, console: Console) -> Iterator[AdapterParts]:
    listed = [member.name for member in model.manifest.members]
    names = [
        name
        for name in listed
        if name.startswith(f"{RUN}f") and PurePosixPath(name).name in ("adapter.json", "adapter_best.json")
    ]
    for name in console.track(names, "restore", len(names)):
        card = _record(model, name, AdapterCard)
        weights = name.removesuffix("json") + "safetensors"
        base = model.manifest.base.sha256 if model.manifest.base else None
        if card.method != model.manifest.method or card.base_sha256 != base or card.plan_hash != content_hash(plan):
            raise WeightsError(
                f"{model.source(name)}: its method, base or plan is not that of the model; copy the file anew"
            )
        yield AdapterParts(model.source(weights), card, parse_state(model.archive.read(weights), model.source(weights)))


def _record(model: ModelFile, name: str, kind: type[R]) -> R:
    return decode(parse_json(model.archive.text(name), model.source(name)), kind, model.source(name))


def write_member(model: ModelFile, name: str, target: Path) -> None:
    """Write a member to `target`, whole or not at all. Raises WeightsError where it is not what the manifest states."""
    wanted = next(member.sha256 for member in model.manifest.members if member.name == name)

    def write(temporary: Path) -> None:
        digest = hashlib.sha256()
        with temporary.open("wb") as stream:
            for data in model.archive.chunks(name):
                digest.update(data)
                stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if digest.hexdigest() != wanted:
            raise WeightsError(f"{model.path}: changed while it was read; copy it anew, and install it again")

    write_atomically(target, write)
