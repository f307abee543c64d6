"""Progress: on a terminal, and nowhere else."""

import pytest

from models.terminal import telling


def test_a_pipe_hears_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with telling(steps=2) as tell:
        tell("computing")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("steps", [None, 3])
def test_a_terminal_shows_what_is_being_done_and_how_much_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, steps: int | None
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with telling(steps=steps) as tell:
        for what in ("taking snapshots", "computing", "fitting"):
            tell(what)
    said = capsys.readouterr().err
    assert "fitting" in said
    assert ("2/3" in said) == (steps is not None)


def test_how_many_steps_there_are_may_be_known_later(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("TTY_COMPATIBLE", "1"), ("TERM", "xterm"), ("COLUMNS", "100")):
        monkeypatch.setenv(name, value)
    with telling(counted=True) as tell:
        tell("reading")
        tell("dealing", 4)
        tell("fitting")
    assert "2/4" in capsys.readouterr().err
