"""Service contacts: the contract's table, and what counts as one of a kind."""

from models.columns import RECORDED, UPDATED, Table, boolean, ident, integer, number, text, time

INTERACTIONS = Table(
    "interactions",
    key=("interaction_id",),
    happened=("opened_at",),
    columns=(
        ident("interaction_id", "id of the contact", required=True),
        ident(
            "account_id",
            "whose contact; an account nobody has described is an orphan: kept and counted",
            required=True,
        ),
        ident(
            "issue_id",
            "groups contacts about one problem; null: derived from account and category within 7 days",
        ),
        ident("contact_id", "the person"),
        text("channel", "email, phone, chat, social, self_service, in_person, bot, portal, ..."),
        text("direction", "null: inbound", "inbound", "outbound", "proactive"),
        text("category", "topic"),
        text("kind", "`question`, `problem`, `complaint`, `cancellation` or other text; null: unknown"),
        time("opened_at", "when the contact began", required=True),
        time("first_response_at", "first human reply; null: none yet"),
        time("resolved_at", "last resolution; null: open"),
        time("reopened_at", "last reopening"),
        time("escalated_at", "first escalation; null: never"),
        text("escalation", "who wanted it; null with an escalation: functional", "customer", "functional"),
        integer("reopens", "times reopened, in total"),
        integer("transfers", "times handed over, in total"),
        integer("customer_replies", "replies by the customer, in total"),
        number("wait_seconds", "queue wait, seconds", 0),
        number("handle_seconds", "talk + hold + wrap, seconds", 0),
        boolean("abandoned", "the customer left before an answer"),
        text(
            "outcome",
            "`auto_closed`: closed for the customer's silence; null: not known",
            "resolved",
            "unresolved",
            "auto_closed",
            "abandoned",
        ),
        number("sla_first_response_minutes", "target for this contact, minutes", 0),
        number("sla_resolution_minutes", "target for this contact, minutes", 0),
        RECORDED,
        UPDATED,
    ),
)

#: Two contacts on one topic this close together are about one problem (and the later one is a repeat).
REPEAT_DAYS = 7
