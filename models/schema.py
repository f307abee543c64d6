"""What a model reads: its columns, declared, and where their values come from.

    source    columns                                  values
    history   the catalogue                            computed from a history (`models.features.compute`)
    history   the catalogue and `measure:payment_delay`   the same: a measure is the latest value known
    table     Contract, tenure, MonthlyCharges, ...    rows of a wide table, as the caller has them

Everything that speaks about a model's inputs (scores, reasons, the API) asks its schema, never the catalogue.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from string import Formatter
from typing import Any, Literal

from models.errors import ArtefactError
from models.features import FEATURES, Feature, FeatureSet
from models.features.feature import COMPONENTS, Component, Direction
from models.features.fingerprint import fingerprints
from models.features.measures import MEASURE, measure_feature

Source = Literal["history", "table"]
#: How a column's values are written: a number, a text, true or false, a day (read as days before the row's moment).
Form = Literal["number", "text", "boolean", "date"]
FORMS: tuple[Form, ...] = ("number", "text", "boolean", "date")


@dataclass(frozen=True)
class Column:
    """One column a model reads. `sentence` and `usual` are what a reason says, as for `models.features.Feature`; in
    them `value` stands for the column's own. `span`: the values among which the usual one is measured. How a file
    writes a table's column: `nulls` (cells that mean unknown besides the empty ones), `decimal`, what parts `thousands`
    (if anything), `formats` of dates."""

    name: str
    form: Form
    label: str
    component: Component
    churn: Direction = 0
    silent: Direction = 0
    unit: str = ""
    missing: str = "unknown"
    sentence: str = ""
    usual: str = ""
    span: tuple[float, float] | None = None
    nulls: tuple[str, ...] = ()
    decimal: str = "."
    thousands: str = ""
    formats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.form not in FORMS or self.component not in COMPONENTS:
            raise ArtefactError(f"The column {self.name!r} is declared as {self.form!r} of {self.component!r}.")
        object.__setattr__(self, "nulls", tuple(self.nulls))
        object.__setattr__(self, "formats", tuple(self.formats))
        if self.span is not None:
            low, high = self.span
            object.__setattr__(self, "span", (float(low), float(high)))

    @classmethod
    def of(cls, feature: Feature) -> "Column":
        """A feature as a column."""
        basis = feature.basis
        return cls(
            name=feature.name,
            form="text" if feature.categorical else "number",
            label=feature.label,
            component=feature.component,
            churn=feature.churn,
            silent=feature.silent,
            unit=feature.unit,
            missing=feature.missing,
            sentence=feature.sentence,
            usual=feature.usual,
            span=(basis.knots[0], basis.knots[-1]) if basis.kind == "line" else None,
        )

    @property
    def is_text(self) -> bool:
        """Whether the scorecard reads a text."""
        return self.form == "text"

    @property
    def fingerprint(self) -> str:
        """Hash (16 hexadecimal digits) of what the values mean; words for people do not count."""
        declared = (self.name, self.form, self.unit, self.churn, self.silent)
        return hashlib.sha256(repr(declared).encode()).hexdigest()[:16]


_CATALOGUE: tuple[Column, ...] = tuple(map(Column.of, FEATURES))


@dataclass(frozen=True)
class Schema:
    """The columns of a model. `own` are those that are not the catalogue's: measures, or all of a table's. `identity`
    and `moment` name the columns that say whose row of a table it is and as of when; empty where none does."""

    source: Source = "history"
    own: tuple[Column, ...] = ()
    identity: str = ""
    moment: str = ""

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ArtefactError("The model declares two columns of one name.")
        if self.source == "history" and not all(column.name.startswith(MEASURE) for column in self.own):
            raise ArtefactError(f"A model of histories reads the catalogue and {MEASURE}... only.")

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """All columns in order."""
        return (*_CATALOGUE, *self.own) if self.source == "history" else self.own

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """The columns by their names."""
        return {column.name: column for column in self.columns}

    def __getitem__(self, name: str) -> Column:
        return self.by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self.by_name

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Their names in order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def numeric(self) -> tuple[str, ...]:
        """Names of the columns that are read as numbers."""
        return tuple(column.name for column in self.columns if not column.is_text)

    @cached_property
    def numbers(self) -> frozenset[str]:
        """The same as a set."""
        return frozenset(self.numeric)

    @cached_property
    def texts(self) -> frozenset[str]:
        """Names of the columns that are read as texts."""
        return frozenset(column.name for column in self.columns if column.is_text)

    @cached_property
    def component_of(self) -> dict[str, str]:
        """Column -> component of health."""
        return {column.name: column.component for column in self.columns}

    @cached_property
    def features(self) -> FeatureSet:
        """What is to be computed from a history: the catalogue and the measures."""
        measures = [measure_feature(column.name.removeprefix(MEASURE)) for column in self.own]
        return FeatureSet([*FEATURES, *measures]) if measures else FEATURES

    @cached_property
    def quoted(self) -> tuple[str, ...]:
        """Facts beside the columns that the sentences quote, in order of first use: kept with a score, so that its
        reasons can be told later without computing anything."""
        fields = (field for column in self.columns for _, field, _, _ in Formatter().parse(column.sentence))
        known = (*self.names, "renewal", "value")
        return tuple(dict.fromkeys(field for field in fields if field and field not in known))

    def fingerprints(self) -> dict[str, str]:
        """Column -> hash of its definition, in order: the catalogue's are taken from what this code computes."""
        catalogue = fingerprints() if self.source == "history" else {}
        return catalogue | {column.name: column.fingerprint for column in self.own}

    def to_plain(self) -> dict[str, Any]:
        """Dicts, lists, texts and numbers only."""
        return {
            "source": self.source,
            "own": [_plain(column) for column in self.own],
            "identity": self.identity,
            "moment": self.moment,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any] | None) -> "Schema":
        """The inverse of `to_plain`; None, as in artefacts of before, is the catalogue. Raises `ArtefactError`."""
        if plain is None:
            return CATALOGUE
        try:
            own: Sequence[Mapping[str, Any]] = plain["own"]
            source: Source = plain["source"]
            columns = tuple(Column(**entry) for entry in own)
            identity, moment = plain["identity"], plain["moment"]
        except (KeyError, TypeError, ValueError) as error:
            raise ArtefactError(f"The stored columns cannot be read: {error}.") from None
        if source not in ("history", "table"):
            raise ArtefactError(f"The stored columns come from {source!r}, which this version does not know.")
        return cls(source, columns, identity, moment) if columns else CATALOGUE


def _plain(column: Column) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(column).items()}


#: What a model of histories reads where the users have no numbers of their own.
CATALOGUE = Schema()
