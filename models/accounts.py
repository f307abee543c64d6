"""The customer side of the contract: accounts, their commercial history, what we did, what they measure."""

from models.columns import RECORDED, UPDATED, Table, boolean, ident, integer, number, text, time

ACCOUNTS = Table(
    "accounts",
    key=("account_id",),
    happened=("started_at",),
    columns=(
        ident("account_id", "the caller's own id", required=True),
        text("name", "shown to people; null: the id"),
        text("owner", "who looks after the account, usually an email; null: unassigned"),
        text("segment", "the company's own grouping (smb, mid, enterprise, ...); null: `unknown`"),
        text("region", "optional grouping"),
        text("plan", "optional grouping"),
        ident("parent_id", "the account's parent, for roll-up"),
        number("mrr", "monthly recurring revenue now, in `currency`", 0),
        text("currency", "ISO 4217; null: the deployment's default"),
        text("billing", "`monthly`, `annual` or another term; null: unknown"),
        integer("seats", "seats now"),
        time("started_at", "became a customer; required for training"),
        time("renewal_at", "end of the current term as known now; null: unknown or none"),
        time("onboarded_at", "onboarding finished; null: not finished or not tracked"),
        time("notice_at", "gave notice or asked to cancel; null: has not"),
        time("ended_at", "stopped being a customer; null: active"),
        text(
            "end_reason",
            "`voluntary`, `involuntary` (non-payment, insolvency, acquisition, fraud) or other text; "
            "null with an end: voluntary",
        ),
        boolean("is_test", "internal and test accounts: kept, but excluded from scores, lists and training"),
        RECORDED,
        UPDATED,
    ),
)

CONTRACTS = Table(
    "contracts",
    key=("account_id", "effective_at"),
    happened=("effective_at",),
    columns=(
        ident("account_id", "whose terms", required=True),
        time("effective_at", "from when these terms hold", required=True),
        number("mrr", "monthly recurring revenue from then", 0),
        text("billing", "billing term from then"),
        text("plan", "plan from then"),
        integer("seats", "seats from then"),
        time("renewal_at", "end of the term from then"),
        RECORDED,
    ),
)

OUTREACH = Table(
    "outreach",
    key=("outreach_id",),
    happened=("at",),
    columns=(
        ident("outreach_id", "id", required=True),
        ident("account_id", "whom it concerned", required=True),
        time("at", "when", required=True),
        text("kind", "call, email, visit, ...", required=True),
        text("owner", "who did it"),
        text("reason", "list id or free text"),
        time("engaged_at", "when the customer reacted; null: has not"),
        text("outcome", "`reached`, `no_answer`, `saved`, `lost` or other text"),
        boolean("held_out", "the account was deliberately left alone"),
        RECORDED,
    ),
)

MEASURES = Table(
    "measures",
    key=("account_id", "name", "at"),
    happened=("at",),
    columns=(
        ident("account_id", "whose number", required=True),
        text("name", "name of the measure", required=True),
        number("value", "its value", required=True),
        time("at", "when it held", required=True),
        RECORDED,
    ),
)
