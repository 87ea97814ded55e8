"""The command line: which commands there are, and how each of them ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from midground.cli.apply import apply
from midground.cli.bench import bench
from midground.cli.data import data
from midground.cli.data_prepare import prepare_dataset
from midground.cli.evaluate import evaluate
from midground.cli.exits import EXIT_INPUT, EXIT_INTERRUPTED, EXIT_REJECTED, EXIT_UNEXPECTED
from midground.cli.map import map_images
from midground.cli.match import match
from midground.cli.models import models
from midground.cli.register import register
from midground.cli.reproduce import reproduce
from midground.cli.simulate import simulate
from midground.cli.train import train
from midground.cli.train_matcher import train_matcher
from midground.errors import MidgroundError, RegistrationError, quoted

app = typer.Typer(
    name="midground",
    help="Register SAR onto optical satellite images, and say whether to trust the result.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 done; 2 an input, option, model or output cannot be used; 3 the registration was rejected; "
        "4 it is suspect and --strict was given; 130 interrupted."
    ),
)
app.command()(register)
app.command()(apply)
app.command("map")(map_images)
app.command()(match)
app.command()(simulate)
app.command()(train)
app.command()(train_matcher)
app.command()(evaluate)
app.command()(reproduce)
app.add_typer(bench, name="bench")
app.add_typer(models, name="models")
data.command("prepare")(prepare_dataset)
app.add_typer(data, name="data")


def _print_version(wanted: bool) -> bool:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"midground {version('midground')}")
        raise typer.Exit
    return wanted


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Register SAR onto optical satellite images, and say whether to trust the result."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words after ``midground``; those of the process if omitted.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        code = app(words, prog_name="midground", standalone_mode=False)
    except typer.TyperException as error:
        message = _usage_message(error)
        # Without a word there is no message: the help was shown.
        return _complain(message, EXIT_INPUT) if message else EXIT_INPUT
    except MidgroundError as error:
        if debug:
            raise
        return _complain(str(error), EXIT_REJECTED if isinstance(error, RegistrationError) else EXIT_INPUT)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except Exception as error:
        if debug:
            raise
        return _complain(f"This is a defect of midground ({quoted(error)}); --debug shows where.", EXIT_UNEXPECTED)
    if code == EXIT_INTERRUPTED:
        return _complain("Interrupted: nothing half-written remains.", EXIT_INTERRUPTED)
    return int(code or 0)


def _complain(message: str, code: int) -> int:
    typer.echo(f"midground: {' '.join(message.split())}", err=True)
    return code


def _usage_message(error: typer.TyperException) -> str:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if message and context is not None:
        message = f"{message.rstrip('.')}; see '{context.command_path} --help'."
    return message
