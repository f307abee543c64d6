"""The command line: one door. Each room keeps its own commands and is loaded when one of them is called.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 `monitor --fail-on` found it. Every failure is one sentence on stderr.
"""

import importlib
import json
import os
import shlex
import subprocess
import sys

import click

from models.errors import EbbtideError

#: Command -> (module, attribute, what it does).
COMMANDS: dict[str, tuple[str, str, str]] = {
    "demo": ("ebbtide", "demo", "A simulated customer base: imported, trained, scored and served."),
    "simulate": ("training.commands", "simulate", "Write a simulated customer base in the contract's format."),
    "import": ("api.commands", "import_", "Read service history into the store, row by row checked."),
    "train": ("training.commands", "train", "From history to an artefact."),
    "backtest": ("training.backtest_commands", "backtest", "Past months again: what the lists would have been worth."),
    "predict": ("training.commands", "predict", "Score a folder of history offline, without a store."),
    "score": ("api.commands", "score", "Score every account in the store and publish a new silent-churn list."),
    "risk-list": ("api.commands", "risk_list", "Show the silent-churn list."),
    "compare": ("training.compare_commands", "compare", "Champion against challenger on the same rows."),
    "models": (
        "training.registry_commands",
        "models",
        "The artefact store: list, show, verify, sign, reproduce, promote, roll back.",
    ),
    "monitor": ("api.commands", "monitor", "Has what the model sees changed, and does what it says still come true?"),
    "serve": ("api.commands", "serve", "Serve the API."),
    "inbound": ("api.inbound_commands", "inbound", "What helpdesks send by the live doors: read, list, read again."),
    "sources": ("api.source_commands", "sources", "Who tells us things: when last, and whether one has fallen silent."),
    "keys": ("api.key_commands", "keys", "API keys: create, list, rotate, revoke; and the key that signs artefacts."),
    "webhooks": (
        "api.webhook_commands",
        "webhooks",
        "Events sent to other systems: make, list, rotate, delete, deliver.",
    ),
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


@click.command()
@click.option("--accounts", type=click.IntRange(300, 20_000), default=2000, show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--folder", default="demo", show_default=True, help="Where the demo keeps everything it makes.")
@click.option("--serve/--no-serve", default=True, help="Serve the API at the end.")
def demo(accounts: int, port: int, folder: str, serve: bool) -> None:
    """A simulated customer base: imported, trained, scored, listed and served.

    Runs the same commands you would type, and shows them.
    """
    os.environ["EBBTIDE_DATABASE_URL"] = f"sqlite:///{folder}/ebbtide.db"
    os.environ["EBBTIDE_ARTIFACTS"] = f"{folder}/artefacts"
    click.echo(f"export EBBTIDE_DATABASE_URL={os.environ['EBBTIDE_DATABASE_URL']}")
    click.echo(f"export EBBTIDE_ARTIFACTS={os.environ['EBBTIDE_ARTIFACTS']}")
    history = f"{folder}/history"
    _step("simulate", "--accounts", str(accounts), "--out", history)
    _step("import", history)
    _step("train", "--db", "--promote")
    _step("score")
    _step("risk-list", "--limit", "8")
    key = _step("keys", "create", "--name", "demo", "--scope", "read", "--scope", "write", capture=True).split()[-1]
    click.echo(_CALLS.format(port=port, key=key, account=_first_listed()))
    if serve:
        _show("serve", "--port", str(port))
        # In this process's place, as the server itself: whatever ends the demo ends the service.
        os.execv(sys.executable, [sys.executable, "-m", "ebbtide", "serve", "--port", str(port)])  # noqa: S606


_CALLS = """
Ask it, with this key of your own:

export EBBTIDE_KEY={key}
curl -s -H "Authorization: Bearer $EBBTIDE_KEY" 'http://127.0.0.1:{port}/v1/risk-lists/silent?limit=3'
curl -s -H "Authorization: Bearer $EBBTIDE_KEY" http://127.0.0.1:{port}/v1/accounts/{account}/health
curl -s -H "Authorization: Bearer $EBBTIDE_KEY" -H 'Content-Type: application/json' \\
     -d '{{"items": [{{"account_id": "{account}"}}]}}' http://127.0.0.1:{port}/v1/scores
"""


def _step(*args: str, capture: bool = False) -> str:
    """Run one of our own commands as a user would, showing it."""
    _show(*args)
    kept = subprocess.PIPE if capture else None
    done = subprocess.run([sys.executable, "-m", "ebbtide", *args], stdout=kept, text=True, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout or ""


def _show(*args: str) -> None:
    click.secho(f"\n$ ebbtide {shlex.join(args)}", bold=True)
    sys.stdout.flush()  # before others write there


def _first_listed() -> str:
    """An account to ask for: one of whom there is something to be said."""
    command = [sys.executable, "-m", "ebbtide", "risk-list", "--limit", "1", "--format", "json"]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout  # noqa: S603
    return str(json.loads(told)["entries"][0]["account_id"])


def main(args: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    try:
        # What was typed is kept with whatever it makes.
        code = cli.main(args, standalone_mode=False, obj=sys.argv[1:] if args is None else args)
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
