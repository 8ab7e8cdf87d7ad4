"""What the training page says of a run in words and numbers, from its plan, its cards and its scores."""

from pathlib import Path

import pandas as pd

from hippopt.artifacts.dataset import MEAN_FOREGROUND
from hippopt.artifacts.plan import AdapterSettings, Plan
from hippopt.artifacts.trained_words import trains_in_words
from hippopt.artifacts.weights import AdapterCard
from hippopt.errors import DatasetError
from hippopt.reporting.pages.charts import VolumeAgreement
from hippopt.reporting.pages.methods_text import MethodsFacts, Scored


def scored(summary: pd.DataFrame, metric: str) -> Scored:
    """Take the mean over all labels of a metric, with its interval, from the summary of the scores."""
    row = summary[(summary.label == MEAN_FOREGROUND) & (summary.metric == metric)].iloc[0]
    return Scored(float(row["mean"]), float(row.ci95_low), float(row.ci95_high))


def what_trained(card: AdapterCard, settings: AdapterSettings | None) -> str:
    """Say in a few words what a run trained, and from what.

    Args:
        card: of one of the run's folds.
        settings: of the run's own plan; None where it cannot be read, and then the parts that trained are left out.

    Returns:
        The method, what it began from, and what it trains in the words of `trains_in_words`.
    """
    if card.continued_from is not None:
        began = f"going on from run {card.continued_from.run}"
    else:
        began = "from random weights" if card.base_sha256 is None else f"from base {card.base_name}"
    rank = f", rank {card.rank}" if card.rank is not None else ""
    trains = f"; trained were {trains_in_words(card.method, settings)}" if settings is not None else ""
    return f"{card.method}{rank}, {began}{trains}"


def methods_facts(
    plan: Plan,
    scores: pd.DataFrame,
    summary: pd.DataFrame,
    volumes: list[VolumeAgreement],
    cards: dict[str, AdapterCard],
) -> MethodsFacts:
    """Collect what a methods paragraph tells. scores: a row per case and label; summary: their means."""
    card = next(iter(cards.values()))
    versions = {name: version.partition("+")[0] for name, version in card.versions.items()}
    steps = sorted({card.step for card in cards.values()})
    network = card.network
    return MethodsFacts(
        version=versions.pop("hippopt", "?"),
        versions=", ".join(f"{name} {version}" for name, version in versions.items()),
        method=card.method,
        rank=f", rank {card.rank}" if card.rank is not None else "",
        trains=f"trained were {trains_in_words(card.method, plan.adapter)}",
        base=card.base_name if card.base_sha256 else None,
        network=f"hidden size {network.hidden_size}, {network.num_heads} heads, feature size {network.feature_size}",
        patch=" × ".join(map(str, card.patch_size)),
        spacing=" × ".join(f"{step:g}" for step in plan.target_spacing_mm),
        steps=" to ".join(str(step) for step in dict.fromkeys((steps[0], steps[-1]))),
        learning_rate=plan.schedule.rate(card.method, card.base_sha256 is not None or card.continued_from is not None),
        cases=int(scores.case.nunique()),
        subjects=int(scores.subject.nunique()),
        folds=len(cards),
        labels=[name for name, value in plan.labels.items() if value],
        dice=scored(summary, "dice"),
        hd95=scored(summary, "hd95_mm"),
        nsd=scored(summary, "nsd_1mm"),
        agreement=[(found.label, found.icc, found.bias, found.low, found.high) for found in volumes],
        continued_from=card.continued_from.run if card.continued_from else None,
    )


def provenance(plan: Plan, cards: dict[str, AdapterCard]) -> list[tuple[str, str]]:
    """List what a run was made of, as (name, value): method, plan, base, versions, and each fold. cards: by fold."""
    card = next(iter(cards.values()))
    rows = [
        ("method", f"{card.method}{f', rank {card.rank}' if card.rank is not None else ''}"),
        ("plan", card.plan_hash),
        ("training scans (fingerprint)", plan.fingerprint_hash),
        ("base", f"{card.base_name}, sha256 {card.base_sha256}" if card.base_sha256 else "none: random weights"),
        ("trained parameters", ", ".join(f"{count:,} {part}" for part, count in card.trained_parameters.items())),
        ("versions", ", ".join(f"{name} {version}" for name, version in card.versions.items())),
    ]
    if card.continued_from is not None:
        rows.append(("continued from", f"run {card.continued_from.run}, fold by fold"))
    for fold, own in cards.items():
        seconds = own.settings.get("seconds")
        took = f", {seconds / 60:.1f} min" if isinstance(seconds, int | float) else ""
        rows.append(
            (f"fold {fold}", f"{own.step} steps{took}, seed {own.settings.get('seed')}, adapter sha256 {own.sha256}")
        )
    return rows


def commands(name: str, folds: list[str], cards: dict[str, AdapterCard]) -> list[str]:
    """What makes such a run again, as far as the cards tell."""
    lines = [f"hippopt_plan {name}"]
    for fold in folds:
        card = cards[fold]
        if card.continued_from is not None:
            lines.append(f"hippopt_train {name} {fold} --continue-from {card.continued_from.run} --steps {card.step}")
            continue
        rank = f" --rank {card.rank}" if isinstance(card.rank, int) else ""
        lines.append(
            f"hippopt_train {name} {fold} --method {card.method} --base {card.base_name or 'none'}{rank} --steps"
            f" {card.step}"
        )
    return lines


def training_log(path: Path) -> pd.DataFrame:
    """Read log.csv of a fold. Raises DatasetError where it is damaged."""
    try:
        log = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path}: not a readable log ({str(error).splitlines()[0]}); train the fold anew, or remove its folder"
        ) from None
    missing = {"step", "train_loss", "val_dice_smoothed"} - set(log.columns)
    if missing:
        raise DatasetError(f"{path}: no column {', '.join(sorted(missing))}; train the fold anew, or remove its folder")
    return log
