"""What a mapping says, as plain values: sources, rows, cells. The TOML around them is read in `mapping`."""

from dataclasses import dataclass, field
from datetime import timedelta
from string import Formatter

from models.columns import Table


@dataclass(frozen=True)
class Source:
    """How a source writes: zone of its naive times, time formats, tokens for unknown, and its files' dialect.

    `delay` is how long after happening its rows are known. None or empty: detected, or the contract's rule.
    """

    timezone: str | None = None
    date_format: tuple[str, ...] = ()
    null: frozenset[str] = frozenset()
    decimal: str = "."
    encoding: str | None = None
    delimiter: str | None = None
    delay: timedelta = timedelta(0)


@dataclass(frozen=True)
class When:
    """A condition on an event row: `kind` is one of `WHEN_KEYS`, on `column`, with the values or the bound; `also` must
    hold, too."""

    kind: str
    column: str
    values: tuple[str, ...] = ()
    bound: float = 0.0
    also: tuple["When", ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it asks about."""
        return (self.column, *(one.column for one in self.also))


@dataclass(frozen=True)
class Cell:
    """One way to fill a column. Exactly one of `source`, `constant`, `template` is set (count needs none).

    `values` replaces cells; `other` what is not in `values` (None: kept); `default` what is unknown.
    `plus` names a column of durations in units of `plus_seconds`; `since` a column of times: the cell is the minutes
    from there to `source`. `take` and `when` pick among event rows.
    """

    source: str | None = None
    constant: str | None = None
    template: str | None = None
    values: dict[str, str] = field(default_factory=dict)
    other: str | None = None
    default: str | None = None
    date_format: tuple[str, ...] = ()
    null: frozenset[str] = frozenset()
    decimal: str | None = None
    scale: float = 1.0
    plus: str | None = None
    plus_seconds: float = 1.0
    since: str | None = None
    take: str | None = None
    when: tuple[When, ...] = ()
    #: Of all alternatives of its column the earliest time counts, not the first that is known.
    earliest: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        """Source columns this cell needs."""
        fields = [name for _, name, _, _ in Formatter().parse(self.template or "") if name]
        return tuple(
            name
            for name in (self.source, self.plus, self.since, *fields, *(name for w in self.when for name in w.columns))
            if name is not None
        )


@dataclass(frozen=True)
class Running:
    """Rows with a start and an end, several at once per `by`, become one row per change with totals of what
    runs then."""

    by: str
    start: str
    end: str
    total: tuple[str, ...]


@dataclass(frozen=True)
class Rows:
    """Which files, which of their rows, and how event rows become one row each."""

    files: tuple[str, ...]
    where: dict[str, tuple[str, ...]] = field(default_factory=dict)
    where_not: dict[str, tuple[str, ...]] = field(default_factory=dict)
    where_known: tuple[str, ...] = ()
    last_row_per: str | None = None
    ordered_by: tuple[str, ...] = ()
    running: Running | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """Source columns the selection needs."""
        running = self.running
        spans = (running.by, running.start, running.end, *running.total) if running else ()
        per = (self.last_row_per,) if self.last_row_per else ()
        return (*self.where, *self.where_not, *self.where_known, *per, *self.ordered_by, *spans)


@dataclass(frozen=True)
class Lookup:
    """One row of other files per row: equal `theirs` and `ours`, the first or last by `rows.ordered_by`; with `columns`
    what they say about all rows of the key. `lookups` are of the other files' own rows; an `optional` one whose files
    are not there leaves its columns unknown. `until` is a time of ours: later rows are passed over."""

    name: str
    rows: Rows
    source: Source
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    take: str = "last"
    columns: dict[str, tuple[Cell, ...]] | None = None
    lookups: tuple["Lookup", ...] = ()
    optional: bool = False
    until: str | None = None

    @property
    def asks(self) -> tuple[str, ...]:
        """Columns of our own rows that the lookup needs."""
        return (*self.ours, *((self.until,) if self.until else ()))

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns of the other files that the lookup itself needs."""
        cells = [name for cells in (self.columns or {}).values() for cell in cells for name in cell.reads]
        return (*self.theirs, *self.rows.reads, *cells, *(name for inner in self.lookups for name in inner.asks))


@dataclass(frozen=True)
class Span:
    """A column in business minutes: how many lie between `start` and `end`, or how many minutes of any kind pass from
    `start` until `minutes` business minutes are over (rows that are not `business` keep their minutes)."""

    start: str
    end: str | None = None
    minutes: tuple[str, ...] = ()
    business: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns the span needs."""
        return (self.start, *((self.end,) if self.end else ()), *self.minutes, *self.business)


@dataclass(frozen=True)
class Hours:
    """Schedules of business hours: `lookup` says where they are and which row has which; `opens` and `closes` are
    minutes from Sunday's midnight of local time. The schedule whose `otherwise` is earliest stands for rows that name
    none. `holidays` is a lookup of days without business hours."""

    lookup: Lookup
    opens: str
    closes: str
    zone: tuple[Cell, ...]
    otherwise: str | None
    holidays: Lookup | None
    spans: dict[str, Span]

    @property
    def asks(self) -> tuple[str, ...]:
        """Columns of our own rows that the schedules need."""
        return (*self.lookup.ours, *(name for span in self.spans.values() for name in span.reads))


@dataclass(frozen=True)
class TableMapping:
    """One table of the contract. `columns` None: the file already carries the contract's names. `otherwise` is read
    where none of the files is there."""

    table: Table
    rows: Rows
    source: Source
    lookups: tuple[Lookup, ...] = ()
    columns: dict[str, tuple[Cell, ...]] | None = None
    hours: Hours | None = None
    otherwise: "TableMapping | None" = None

    @property
    def every_lookup(self) -> tuple[Lookup, ...]:
        """The lookups, and that of the business hours."""
        return (*self.lookups, *((self.hours.lookup,) if self.hours else ()))

    @property
    def asks(self) -> tuple[str, ...]:
        """Columns of our own rows, looked up ones included, that lookups and business hours need."""
        own = tuple(name for lookup in self.lookups for name in lookup.asks)
        return (*own, *(self.hours.asks if self.hours else ()))


@dataclass(frozen=True)
class Mapping:
    """A whole source. `about` says in a sentence what it is and what was decided for it, `tested_on` what it was tried
    on (empty: nobody says), `meanings` how its words are to be understood."""

    name: str
    about: str
    tables: dict[str, TableMapping]
    tested_on: str = ""
    meanings: dict[str, str] = field(default_factory=dict)
