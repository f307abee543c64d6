"""The command line: one door. Each room keeps its own commands and is loaded when one of them is called.

Exit codes: 0 done, 1 failed, 2 wrong usage. Every failure is one sentence on stderr.
"""

import importlib
import os
import sys

import click

from models.errors import EbbtideError

#: Command -> (module, attribute, what it does).
COMMANDS: dict[str, tuple[str, str, str]] = {
    "demo": ("training.demo", "demo", "A simulated customer base: imported, trained, scored and served."),
    "simulate": ("training.commands", "simulate", "Write a simulated customer base in the contract's format."),
    "import": ("api.commands", "import_", "Read service history into the store, row by row checked."),
    "train": ("training.commands", "train", "From history to an artefact."),
    "predict": ("training.commands", "predict", "Score a folder of history offline, without a store."),
    "score": ("api.commands", "score", "Score every account in the store and publish a new silent-churn list."),
    "risk-list": ("api.commands", "risk_list", "Show the silent-churn list."),
    "models": ("training.commands", "models", "The artefact store: list, show, verify, promote, roll back."),
    "serve": ("api.commands", "serve", "Serve the API."),
    "keys": ("api.commands", "keys", "API keys: create, list, revoke."),
}


class Door(click.Group):
    """A group that knows its commands by name and imports one only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the room of one command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(cls=Door, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ebbtide")
def cli() -> None:
    """Finds the customers who are about to leave without saying a word."""


def main(args: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    try:
        code = cli.main(args, standalone_mode=False)
    except click.exceptions.Abort:
        _leave("Stopped.", 1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except EbbtideError as error:
        _leave(str(error), 1)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _leave(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.", 1)
    sys.exit(code if isinstance(code, int) else 0)


def _leave(message: str, code: int) -> None:
    click.echo(f"ebbtide: {message}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
