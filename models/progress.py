"""How long work says what it is doing, without knowing who listens."""

from typing import Protocol


class Tell(Protocol):
    """Says what is being done; with `steps`, how many times it will have been called at the end, where that is known
    only now."""

    def __call__(self, what: str, steps: int | None = None, /) -> None: ...


def unheard(_what: str, _steps: int | None = None, /) -> None:
    """Says it to nobody."""
