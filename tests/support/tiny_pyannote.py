"""Checkpoints of pyannote.audio's embedding models with random weights, saved by Lightning as the published ones were.

The classes and their sizes are the real ones: 6.6 million parameters (27 MB) and 4.3 million (17 MB).
"""

from __future__ import annotations

import warnings
from pathlib import Path

import babblefish.engines.pyannote  # noqa: F401 - first, for it turns the library's reporting off

# isort: split
import torch
from lightning.pytorch import Trainer
from pyannote.audio import Model
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.models.embedding import WeSpeakerResNet34, XVectorSincNet
from pyannote.audio.models.segmentation import PyanNet

NAME = "pytorch_model.bin"


def make_wespeaker(folder: Path, seed: int = 7) -> Path:
    """Write what ``pyannote/wespeaker-voxceleb-resnet34-LM`` holds into an existing folder; returns the file."""
    torch.manual_seed(seed)
    return _save(WeSpeakerResNet34(), folder)


def make_xvector(folder: Path, seed: int = 7) -> Path:
    """Write what ``pyannote/embedding`` holds, which is of 2021: older versions, and the loss it was trained with."""
    torch.manual_seed(seed)
    file = _save(XVectorSincNet(), folder)
    checkpoint = torch.load(file, weights_only=False)
    checkpoint["pytorch-lightning_version"] = "1.2.7"
    checkpoint["pyannote.audio"]["versions"] = {"torch": "1.8.1+cu102", "pyannote.audio": "0.0.1"}
    checkpoint["state_dict"]["loss_func.W"] = torch.randn(512, 100)
    del checkpoint["loops"]
    torch.save(checkpoint, file)
    return file


def make_segmentation(folder: Path) -> Path:
    """Write a checkpoint of pyannote.audio that is whole and makes no embeddings."""
    model = PyanNet()
    model.specifications = Specifications(
        Problem.MULTI_LABEL_CLASSIFICATION, Resolution.FRAME, duration=5.0, classes=["one", "two"]
    )
    model.build()
    return _write(model, folder)


def _save(model: Model, folder: Path) -> Path:
    model.specifications = Specifications(Problem.REPRESENTATION, Resolution.CHUNK, duration=5.0, min_duration=2.0)
    return _write(model, folder)


def _write(model: Model, folder: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning advises on training, which nobody does here
        trainer = Trainer(
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        trainer.strategy.connect(model)
        trainer.save_checkpoint(folder / NAME)
    return folder / NAME
