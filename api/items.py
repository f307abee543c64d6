"""Items of a scoring request on their way to a result."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from api.bodies import encode, with_member
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
    """One item of a request and, in the end, its score and reasons (JSON) or what is wrong with it."""

    index: int
    body: dict[str, Any]
    score: dict[str, Any] | None = None
    explanation: str | None = None
    errors: list[FieldError] = field(default_factory=list)

    def refuse(self, pointer: str, code: str, message: str) -> None:
        """Remember what is wrong; `pointer` is relative to the item."""
        self.errors.append(FieldError(f"/items/{self.index}{pointer}", code, message))

    def to_json(self) -> str:
        """As a result line."""
        given = self.body.get("id")
        line: dict[str, Any] = {"id": given if isinstance(given, str) else None}
        if self.errors:
            return encode(line | {"status": "rejected", "errors": [error.to_plain() for error in self.errors]})
        score = encode(self.score)
        if self.explanation is not None:
            score = with_member(score, "explanation", self.explanation)
        return with_member(encode(line | {"status": "scored"}), "score", score)
