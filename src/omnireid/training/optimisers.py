"""The two optimisers of the paper, over all parameters of a network."""

from __future__ import annotations

import torch
from torch import nn

from omnireid.training.recipe import OptimiserRecipe


def build_optimiser(model: nn.Module, recipe: OptimiserRecipe) -> torch.optim.Optimizer:
    """SGD with momentum, or AMSGrad (Reddi et al., 2018); weight decay is added to the gradient (L2)."""
    if recipe.name == "sgd":
        return torch.optim.SGD(
            model.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
    return torch.optim.Adam(
        model.parameters(), lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay, amsgrad=True
    )
