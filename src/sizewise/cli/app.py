"""The application that commands register with."""

import typer

app = typer.Typer(
    help="Does learned position sizing beat ATR sizing, out of sample and net of costs?",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
