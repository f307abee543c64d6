"""What the columns of a labelled table mean that are no features."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Roles:
    """Names of columns; None where the table has no such column.

    label       0 or 1
    group       rows that belong together: an account, a family
    as_of       the moment each row is about
    known_at    the moment each row was written down
    decided_at  the moment the customer decided to leave; null for those who stayed
    """

    label: str
    group: str | None = None
    as_of: str | None = None
    known_at: str | None = None
    decided_at: str | None = None
