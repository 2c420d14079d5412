"""`omnireid recipes`: what can be trained as published."""

from __future__ import annotations

from typing import Annotated

import typer

from omnireid.cli.console import stdout

app = typer.Typer(help="Training recipes.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """List the recipes that come with the package."""
    from rich.table import Table

    from omnireid.training.recipe import list_recipes, load_recipe

    table = Table("recipe", "model", "epochs", "lr", "source", box=None)
    for name in list_recipes():
        recipe = load_recipe(name)
        table.add_row(name, recipe.model, str(recipe.epochs), f"{recipe.optimiser.lr:g}", recipe.source)
    stdout.print(table)


@app.command()
def show(name: Annotated[str, typer.Argument(help="Recipe name or YAML file.")]) -> None:
    """Print a recipe with everything it inherits."""
    import yaml

    from omnireid.training.recipe import load_recipe

    print(yaml.safe_dump(load_recipe(name).model_dump(mode="json"), sort_keys=False), end="")
