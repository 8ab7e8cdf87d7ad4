"""The paragraph for a paper: what was done and found, with its references, from the records of a run."""

from collections.abc import Sequence
from dataclasses import dataclass

REFERENCES = {
    "unetr": (
        "Hatamizadeh A. et al. UNETR: Transformers for 3D medical image segmentation. WACV 2022."
        " doi:10.1109/WACV51458.2022.00181"
    ),
    "nnunet": (
        "Isensee F. et al. nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation."
        " Nature Methods 18 (2021) 203-211. doi:10.1038/s41592-020-01008-z"
    ),
    "monai": (
        "Cardoso M. J. et al. MONAI: An open-source framework for deep learning in healthcare. arXiv:2211.02701 (2022)"
    ),
    "lora-pt": (
        "He, Cheng, Zhu, Yu. LoRA-PT: low-rank adapting UNETR for hippocampus segmentation using principal tensor"
        " singular values and vectors. arXiv:2407.11292 (2024)"
    ),
    "lora": "Hu E. J. et al. LoRA: Low-rank adaptation of large language models. arXiv:2106.09685 (2021)",
    "dora": "Liu S.-Y. et al. DoRA: Weight-decomposed low-rank adaptation. arXiv:2402.09353 (2024)",
    "pissa": (
        "Meng F. et al. PiSSA: Principal singular values and singular vectors adaptation of large language models."
        " arXiv:2404.02948 (2024)"
    ),
    "adalora": (
        "Zhang Q. et al. AdaLoRA: Adaptive budget allocation for parameter-efficient fine-tuning. arXiv:2303.10512"
        " (2023)"
    ),
    "bitfit": (
        "Ben Zaken E. et al. BitFit: Simple parameter-efficient fine-tuning for transformer-based masked"
        " language-models. arXiv:2106.10199 (2021)"
    ),
    "nsd": (
        "Nikolov S. et al. Clinically applicable segmentation of head and neck anatomy for radiotherapy. J Med Internet"
        " Res 23 (2021) e26151. doi:10.2196/26151"
    ),
    "bland": (
        "Bland J. M., Altman D. G. Statistical methods for assessing agreement between two methods of clinical"
        " measurement. Lancet 327 (1986) 307-310. doi:10.1016/S0140-6736(86)90837-8"
    ),
    "icc": (
        "Shrout P. E., Fleiss J. L. Intraclass correlations: uses in assessing rater reliability. Psychological"
        " Bulletin 86 (1979) 420-428. doi:10.1037/0033-2909.86.2.420"
    ),
}


@dataclass(frozen=True)
class Scored:
    """A mean over subjects with its 95 % interval (NaN where there is none)."""

    mean: float
    low: float
    high: float

    def text(self, digits: int, unit: str = "") -> str:
        """`.87 (95 % interval .85 to .89)`."""
        interval = f" (95 % interval {self.low:.{digits}f} to {self.high:.{digits}f})" if self.low == self.low else ""
        return f"{self.mean:.{digits}f}{unit}{interval}" if self.mean == self.mean else "undefined"


@dataclass(frozen=True)
class MethodsFacts:
    """What the paragraph says of a run. agreement: (label, ICC(2,1), bias, low, high) of volumes in mm³;
    continued_from: the run that its networks went on from."""

    version: str
    versions: str
    method: str
    rank: str
    trains: str
    base: str | None
    network: str
    patch: str
    spacing: str
    steps: str
    learning_rate: float
    cases: int
    subjects: int
    folds: int
    labels: Sequence[str]
    dice: Scored
    hd95: Scored
    nsd: Scored
    agreement: Sequence[tuple[str, float, float, float, float]]
    continued_from: str | None = None


def methods_paragraph(facts: MethodsFacts) -> tuple[str, list[str]]:
    """(the paragraph, with numbers in brackets; the references in their order)."""
    used: list[str] = []

    def cite(*names: str) -> str:
        for name in names:
            if name not in used:
                used.append(name)
        return "[" + ", ".join(str(used.index(name) + 1) for name in names) + "]"

    own = facts.method if facts.method in REFERENCES else None
    sentences = [
        (
            f"Hippocampi ({', '.join(facts.labels)}) were segmented with hippopt {facts.version} ({facts.versions}),"
            f" which configures itself from the training scans as nnU-Net does {cite('nnunet')}."
        ),
        f"A UNETR {cite('unetr')} of MONAI {cite('monai')} ({facts.network}; patches of {facts.patch} voxels at"
        f" {facts.spacing} mm)"
        + (
            f" that had been pre-trained (base {facts.base}) was fine-tuned"
            if facts.base
            else " was trained from random weights"
        )
        + (f" by {facts.method}{' ' + cite(own) if own else ''}{facts.rank}" if facts.base else "")
        + f": {facts.trains}; AdamW, learning rate {facts.learning_rate:g}, {facts.steps} steps, Dice and cross-entropy"
        " loss"
        + (f"; training went on from the networks of run {facts.continued_from}" if facts.continued_from else "")
        + ".",
        (
            f"Figures are out of fold: {facts.cases} scans of {facts.subjects} subjects in {facts.folds} folds, drawn"
            " by subject, each scan segmented by the network that had not seen its subject, in its own grid; the last"
            " checkpoint, without selection."
        ),
        (
            f"Over subjects, the mean Dice was {facts.dice.text(3)}, the 95th percentile of surface distances"
            f" {facts.hd95.text(2, ' mm')}, and the normalised surface Dice at 1 mm {cite('nsd')} {facts.nsd.text(3)};"
            " intervals are percentile bootstraps over subjects."
        ),
    ]
    volumes = [
        f"{label}: ICC {icc:.2f}, bias {bias:+.0f} mm³, limits {low:+.0f} to {high:+.0f} mm³"
        for label, icc, bias, low, high in facts.agreement
        if icc == icc
    ]
    if volumes:
        sentences.append(
            f"Predicted and reference volumes were compared by ICC(2,1) {cite('icc')} and 95 % limits of agreement"
            f" {cite('bland')}: {'; '.join(volumes)}."
        )
    return " ".join(sentences), [REFERENCES[name] for name in used]
