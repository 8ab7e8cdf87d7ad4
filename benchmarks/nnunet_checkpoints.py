"""Checkpoints of nnU-Net's freshly initialised network for all folds, as it saves them; run by the Python of its
environment.

    python benchmarks/nnunet_checkpoints.py DATASET [DATASET ...]

nnU-Net's paths are taken from the environment. One step of its optimiser without gradients puts momentum into the file,
as in a trained one. The background's bias is raised: masks of noise would take longer to write than those of a trained
network.
"""

import shutil
import sys
from pathlib import Path

import torch
from nnunetv2.run.run_training import get_trainer_from_args
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

BACKGROUND_BIAS = 10.0


def save(dataset: str, fold: int) -> None:
    trainer = get_trainer_from_args(dataset, "3d_fullres", fold, device=torch.device("cpu"))
    trainer.network = nnUNetTrainer.build_network_architecture(
        trainer.plans_manager, trainer.configuration_manager, len(trainer.dataset_json["channel_names"]),
        trainer.label_manager.num_segmentation_heads, True,
    )  # fmt: skip
    with torch.no_grad():
        for layer in trainer.network.decoder.seg_layers:
            layer.bias[0] += BACKGROUND_BIAS
    trainer.optimizer, trainer.lr_scheduler = trainer.configure_optimizers()
    for parameter in trainer.network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for group in trainer.optimizer.param_groups:
        group["weight_decay"] = 0.0
    trainer.optimizer.step()
    trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()  # the axes of its flips
    trainer.save_checkpoint(str(Path(trainer.output_folder) / "checkpoint_final.pth"))
    prepared = Path(trainer.preprocessed_dataset_folder_base)
    for source, name in (("nnUNetPlans.json", "plans.json"), ("dataset.json", "dataset.json")):
        shutil.copyfile(prepared / source, Path(trainer.output_folder_base) / name)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        for number in range(5):
            save(name, number)
