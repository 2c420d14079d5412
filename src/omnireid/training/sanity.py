"""Training that came to no good: noticed before the last good checkpoint is replaced."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import torch

from omnireid.core.errors import TrainingError
from omnireid.core.files import write_text
from omnireid.data.loading import Batch
from omnireid.training.checkpoint import CHECKPOINT
from omnireid.training.learner import Learner
from omnireid.training.recipe import Recipe

_ONE_POINT = 1e-6
"""How far apart embeddings of a batch are, against their length, where they are one and the same."""


def check_sane(learner: Learner, batch: Batch, epoch: int, run_dir: Path) -> None:
    """Refuse to close an epoch whose state would spoil what the last one left.

    The loss was computed before the last step, and weights of 1e30 are finite: so the last batch goes
    through the network once more, in evaluation mode, as whoever uses it will. A length that overflows
    float32 makes no distance.

    Raises:
        TrainingError: weights or optimiser state hold NaN or infinity, or embeddings cannot be compared.
    """
    states = {
        "weights": learner.classifier.state_dict().values(),
        "optimiser": _tensors(learner.optimiser.state_dict()["state"].values()),
    }
    ruined = [name for name, tensors in states.items() if not _all_finite(tensors)]
    if not ruined:
        learner.classifier.eval()
        with torch.inference_mode():
            crops = torch.from_numpy(batch.crops).to(learner.fabric.device)
            outputs = learner.classifier(learner.plain(crops, torch.Generator()))
            lengths = torch.cat([torch.linalg.vector_norm(values, dim=1) for values in outputs[:3]])
        ruined = [] if lengths.isfinite().all() else ["embeddings"]
        apart = torch.linalg.vector_norm(outputs.necked - outputs.necked.mean(dim=0), dim=1)
        collapsed = not ruined and bool(apart.max() <= _ONE_POINT * lengths.max())
        if learner.team.any(collapsed, learner.fabric.device):
            raise TrainingError(
                f"training collapsed in epoch {epoch + 1}: all pictures have the same embedding, which "
                f"nothing comes back from. A neck helps (--set model_options.neck=true), or weights to "
                f"start from. {_way_out(learner.recipe, epoch, run_dir)}"
            )
    if learner.team.any(bool(ruined), learner.fabric.device):
        where = " and ".join(ruined or ["embeddings"])
        raise TrainingError(
            f"training diverged in the last steps of epoch {epoch + 1}: the {where} hold NaN, infinity "
            f"or what becomes it. {_way_out(learner.recipe, epoch, run_dir)}"
        )


def refuse_batch(
    learner: Learner, epoch: int, step: int, values: dict[str, float], files: list[str], run_dir: Path
) -> NoReturn:
    """End training on a batch whose loss is not finite, with its files named, in a report beside the run.

    Args:
        epoch, step: from 0.

    Raises:
        TrainingError: always.
    """
    report = run_dir / "bad_batch.json"
    content = {
        "epoch": epoch + 1,
        "step": step + 1,
        "values": {name: str(value) for name, value in values.items()},
        "files": files,
    }
    if learner.team.rank.leads:
        write_text(report, json.dumps(content, indent=2) + "\n")
    raise TrainingError(
        f"the loss became {values['loss']} in epoch {epoch + 1}, step {step + 1}, on a batch that begins "
        f"with {files[0]} (all {len(files)} files: {report}). {_way_out(learner.recipe, epoch, run_dir)}"
    )


def _way_out(recipe: Recipe, epoch: int, run_dir: Path) -> str:
    """What to do about divergence in an epoch: the last good one, and the options that go on from it."""
    rate = recipe.optimiser.lr
    # A tenth of what diverged; nobody trains an OSNet with more than 0.01 after that.
    options = f"--set optimiser.lr={min(rate / 10, 0.01):g}"
    if recipe.precision != "32-true":
        options += " --set precision=32-true"
    if epoch == 0:
        return f"No epoch was finished, so there is no checkpoint: start again with {options}"
    return (
        f"The checkpoint of epoch {epoch} is kept. --resume would meet the same again; what goes on from "
        f"it is the same command with another --out and --init {run_dir / CHECKPOINT} {options}"
    )


def _tensors(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    """Every tensor in nested dictionaries."""
    for value in values:
        if isinstance(value, dict):
            yield from _tensors(value.values())
        elif isinstance(value, torch.Tensor):
            yield value


def _all_finite(tensors: Iterable[torch.Tensor]) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)
