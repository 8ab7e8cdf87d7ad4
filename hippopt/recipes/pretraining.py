"""Pre-train a base: on a planned data set, or on scans made from label maps."""

import contextlib
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch

from hippopt.artifacts.codec import load_record
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.plan import NetworkSettings, NormalisationSettings, Triple
from hippopt.artifacts.plan_edits import apply_synthesis_settings
from hippopt.artifacts.plan_rules import load_plan
from hippopt.artifacts.synthesis import SynthesisSettings
from hippopt.artifacts.weights import BaseCard
from hippopt.batches.augmentation import open_batches
from hippopt.batches.label_maps import ANTERIOR, CLASSES, POSTERIOR, LabelMaps, read_label_maps, read_table
from hippopt.batches.synthesis import Synthesiser, synthetic_batch, synthetic_batches
from hippopt.console import Console, SilentConsole
from hippopt.errors import UsageError
from hippopt.networks.base_files import read_base, shipped_base
from hippopt.networks.device import choose_device
from hippopt.networks.tensor_files import file_sha256
from hippopt.networks.unetr import SIZES
from hippopt.recipes.training_inputs import check_cache, load_unchanged, training_cases
from hippopt.reporting.contours import Panel, plot_contours
from hippopt.stages.pretrain import check_pretraining, pretrain
from hippopt.training.lock import fold_lock
from hippopt.training.precision import use_bfloat16
from hippopt.training.pretraining import SYNTHETIC_SCHEDULE, PretrainInputs, PretrainRequest
from hippopt.training.processes import join_processes
from hippopt.training.quick_validation import region_windows, windows_around
from hippopt.training.signals import StopSignals
from hippopt.workspace import Workspace

Base = tuple[Mapping[str, torch.Tensor], BaseCard]
VALIDATION_SEED = 2**31  # keys the fixed scans made from the maps that are held out
VALIDATION_BATCHES = 8
PREVIEW_BATCHES = 8
ALVEUS_SHARE = 0.7  # bases from before it had none, and their cards do not name it


@dataclass(frozen=True)
class SourceRequest:
    """What to learn from: a data set by its name, or folders of label maps; and how the base is to be described.

