"""`omnireid recipes`: what can be trained as published."""

from __future__ import annotations

from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import print_rows

app = options.App(help="Training recipes.", no_args_is_help=True)


@app.command("list")
def list_(as_json: options.AsJson = False) -> None:
    """List the recipes that come with the package."""
    from omnireid.training.recipe import list_recipes, load_recipe

    recipes = [(name, load_recipe(name)) for name in list_recipes()]
    print_rows(
        ("name", "model", "epochs", "lr", "source"),
        [(name, recipe.model, recipe.epochs, recipe.optimiser.lr, recipe.source) for name, recipe in recipes],
        as_json=as_json,
    )


@app.command()
def show(name: Annotated[str, typer.Argument(help="Recipe name or YAML file.")]) -> None:
    """Print a recipe with everything it inherits."""
    import yaml

    from omnireid.training.recipe import load_recipe

    print(yaml.safe_dump(load_recipe(name).model_dump(mode="json"), sort_keys=False), end="")
