"""The house keeps its word: packaging, menu, README and settings say what is there."""

import re
import tomllib
from pathlib import Path

import pytest

from ebbtide import COMMANDS, cli

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
README = (ROOT / "README.md").read_text("utf-8")
TARGETS = ("demo", "test", "lint", "types", "docs", "bench", "serve")


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def test_every_dependency_is_pinned_exactly() -> None:
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    names = {re.split(r"[\[><=]", dependency)[0].lower().replace("_", "-") for dependency in wanted}
    assert names <= set(pinned()), names - set(pinned())
    assert set(project["optional-dependencies"]) == {"dev", "postgres", "redis", "rivals", "spark"}


def test_every_target_of_the_menu_is_one_line() -> None:
    lines = (ROOT / "Makefile").read_text("utf-8").splitlines()
    for target in TARGETS:
        assert len([line for line in lines if line.startswith(f"{target}:") and " ; " in line]) == 1
    assert not [line for line in lines if line.startswith("\t")]


def documented() -> list[list[str]]:
    """The command lines of every shell block of the README."""
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("#")[0].split() for line in lines if line.startswith("ebbtide ")]


def test_the_tour_names_commands_and_options_that_exist() -> None:
    lines = documented()
    assert len(lines) >= 10
    for words in lines:
        command = cli.get_command(None, words[1])  # type: ignore[arg-type]
        assert command is not None, words
        rest = words[2:]
        if hasattr(command, "commands"):
            command = command.commands[rest.pop(0)]
        options = {name for parameter in command.params for name in parameter.opts + parameter.secondary_opts}
        assert {word for word in rest if word.startswith("--")} <= options, words


def test_every_command_is_in_the_readme() -> None:
    named = {words[1] for words in documented()} | set(re.findall(r"^make (\w+)", README, flags=re.MULTILINE))
    assert set(COMMANDS) <= named


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((docs/[^)#]+)\)", README))))
def test_what_the_readme_points_to_is_there(link: str) -> None:
    assert (ROOT / link).exists()


def test_no_file_names_a_machine_or_a_registry() -> None:
    wrong = []
    for folder in ("api", "models", "training", "bench", "tests", "docs", "."):
        pattern = "*" if folder == "." else "**/*"
        for path in (ROOT / folder).glob(pattern):
            told = path.suffix in {".py", ".md", ".toml", ".txt", ".jinja"} and path != Path(__file__)
            if told and re.search(r"pypi\.org|npmjs\.(com|org)|deb\.debian\.org|/ro[o]t/", path.read_text("utf-8")):
                wrong.append(path.name)
    assert not wrong
