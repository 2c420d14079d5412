"""Learning rate and temperature as pure functions of the epoch, so that a resumed run cannot drift."""

from __future__ import annotations

import math

from omnireid.training.recipe import Recipe


def learning_rate(recipe: Recipe, epoch: float) -> float:
    """Learning rate at a point of the run.

    Args:
        epoch: epochs done, from 0; fractions count where `schedule.interval` is "step".

    Source: step and cosine as the published recipes (OSNet §4.1; torchreid); cosine reaches zero at
    `recipe.epochs`.
    """
    schedule = recipe.schedule
    done = epoch if schedule.interval == "step" else math.floor(epoch)
    if schedule.name == "cosine":
        factor = 0.5 * (1.0 + math.cos(math.pi * done / recipe.epochs))
    else:
        factor = schedule.gamma ** sum(done >= milestone for milestone in schedule.milestones)
    if done < schedule.warmup_epochs:
        share = done / schedule.warmup_epochs
        factor *= schedule.warmup_factor + (1.0 - schedule.warmup_factor) * share
    return recipe.optimiser.lr * factor


def temperature(recipe: Recipe, epoch: int) -> float:
    """Temperature of a search in an epoch, from 0.

    Source: the schedule of OSNet-AIN's search (torchreid, projects/OSNet_AIN): 10, halved every 20 epochs,
    at least 1.
    """
    how = recipe.temperature
    return max(how.last, how.first * how.factor ** (epoch // how.every))
