"""Survey invitations and answers: the contract's table, and the scales of the known instruments."""

from dataclasses import dataclass

from models.columns import RECORDED, Table, boolean, ident, number, text, time

SURVEYS = Table(
    "surveys",
    key=("survey_id",),
    happened=("sent_at", "responded_at"),
    columns=(
        ident("survey_id", "id of the invitation", required=True),
        ident("account_id", "who was asked", required=True),
        ident("interaction_id", "the contact it is about"),
        ident("contact_id", "the person asked"),
        text("instrument", "`csat`, `ces`, `nps` or other text", required=True),
        number("scale_min", "lowest possible score; null: csat 1, ces 1, nps 0"),
        number("scale_max", "highest possible score; null: csat 5, ces 7, nps 10"),
        boolean("low_is_good", "CES 1.0 style scales; null: false"),
        time("sent_at", "invitation delivered; required unless `responded_at` is given"),
        time("responded_at", "null: no answer"),
        number("score", "null: no answer; outside its scale it is rejected"),
        text("comment", "never used by the model, never logged"),
        RECORDED,
    ),
)


@dataclass(frozen=True)
class Instrument:
    """A scale and where dissatisfaction starts: `low` is the share of the scale at or below which an answer is a
    voice event (CSAT <= 2 of 1-5, CES <= 3 of 1-7, NPS <= 6 of 0-10)."""

    name: str
    scale_min: float
    scale_max: float
    low: float


CSAT = Instrument("csat", 1, 5, 1 / 4)
CES = Instrument("ces", 1, 7, 2 / 6)
NPS = Instrument("nps", 0, 10, 6 / 10)
INSTRUMENTS: dict[str, Instrument] = {i.name: i for i in (CSAT, CES, NPS)}

#: Days an invitation has before silence counts as no answer.
RESPONSE_DAYS = 14
