"""Items of a scoring request on their way to a result."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from api.errors import FieldError
from models.scorecard import Target


@dataclass(frozen=True)
class Wanted:
    """Which reasons the caller wants: `top`, `all` or `none`, for which target; and since when the source of his raw
    histories records contacts (None: since each account started)."""

    reasons: str
    target: Target
    observed_from: datetime | None = None


@dataclass
class Item:
    """One item of a request and, in the end, its score or what is wrong with it."""

    index: int
    body: dict[str, Any]
    score: dict[str, Any] | None = None
    errors: list[FieldError] = field(default_factory=list)

    def refuse(self, pointer: str, code: str, message: str) -> None:
        """Remember what is wrong; `pointer` is relative to the item."""
        self.errors.append(FieldError(f"/items/{self.index}{pointer}", code, message))

    def to_plain(self) -> dict[str, Any]:
        """As a result line."""
        given = self.body.get("id")
        line: dict[str, Any] = {"id": given if isinstance(given, str) else None}
        if self.errors:
            return line | {"status": "rejected", "errors": [error.to_plain() for error in self.errors]}
        return line | {"status": "scored", "score": self.score}
