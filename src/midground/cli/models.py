"""``midground models``: the learned bundles that are at hand."""

from __future__ import annotations

import typer

models = typer.Typer(
    name="models", help="List, inspect, check and convert learned models.", no_args_is_help=True, add_completion=False
)
