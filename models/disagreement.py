"""Where the model and somebody else see an account differently, on one scale.

Health runs from 0 to 100. A manager's sentiment has five steps, each the middle of a fifth of that scale; what the
contract did says as much as one step or two:

    says      10                  30                50        70              90
    sentiment 1 losing them       2 worried         3         4 content       5 would recommend us
    contract  fell by 30 %        fell by 10 %                rose by 10 %    rose by 30 %       (revenue or seats)

    gap = health - what it says          listed from 25 points, the widest first

    health 72, the manager is worried (30)         gap +42     the model is less worried
    health 38, seats up by 40 % (90)               gap -52     the model is more worried

Both may be right: they know different things. A view older than `VIEW_DAYS`, or terms that changed longer ago, say
nothing any more.
"""

import polars as pl

#: What a sentiment says, in points of health.
SAYS = {1: 10.0, 2: 30.0, 3: 50.0, 4: 70.0, 5: 90.0}
#: The least gap that is a disagreement, in points.
LEAST = 25.0
#: How long views and changes of terms count, in days.
VIEW_DAYS = 90
#: Relative changes from which terms say something, and from which they say it twice.
SOME, MUCH = 0.10, 0.30
#: The terms that are looked at.
TERMS = ("mrr", "seats")
#: Against whom, and which way.
SOURCES = ("sentiment", "commercial")
DIRECTIONS = ("model_more_worried", "model_less_worried")


def by_sentiment(views: pl.DataFrame) -> pl.DataFrame:
    """account_id, source, says; from rows of account_id and sentiment."""
    says = pl.col("sentiment").replace_strict(SAYS, return_dtype=pl.Float64)
    return views.select("account_id", pl.lit("sentiment").alias("source"), says=says)


def by_terms(terms: pl.DataFrame) -> pl.DataFrame:
    """account_id, source, says, and term, before, after: which of the terms changed most.

    `terms`: account_id and, for each of `TERMS`, its value `<term>_before` and `<term>_after`. Accounts whose terms did
    not change enough, or from nothing, are left out.
    """
    parts = [
        terms.select(
            "account_id",
            pl.lit(term).alias("term"),
            before=pl.col(f"{term}_before").cast(pl.Float64),
            after=pl.col(f"{term}_after").cast(pl.Float64),
        )
        for term in TERMS
    ]
    moved = pl.concat(parts).filter(pl.col("before") > 0, pl.col("after").is_not_null())
    change = pl.col("after") / pl.col("before") - 1
    # A change of exactly a tenth is one, whatever its binary digits.
    size = (change.abs() + 1e-9).alias("size")
    says = (
        pl.when((change < 0) & (size >= MUCH)).then(10.0)
        .when((change < 0) & (size >= SOME)).then(30.0)
        .when(size >= MUCH).then(90.0)
        .when(size >= SOME).then(70.0)
    )  # fmt: skip
    told = moved.with_columns(size, says=says, source=pl.lit("commercial")).drop_nulls("says")
    strongest = told.sort("account_id", "size", "term", descending=[False, True, False])
    return strongest.unique("account_id", keep="first", maintain_order=True).select(
        "account_id", "source", "says", "term", "before", "after"
    )


def gaps(said: pl.DataFrame, health: pl.DataFrame) -> pl.DataFrame:
    """The disagreements among what was said (`source`, `says`, ...) of accounts with a `health`: with `gap` and
    `direction`, the widest gap first, ties by account id and source."""
    both = said.join(health, on="account_id").with_columns(gap=pl.col("health") - pl.col("says"))
    worried = pl.when(pl.col("gap") < 0).then(pl.lit(DIRECTIONS[0])).otherwise(pl.lit(DIRECTIONS[1]))
    far = both.filter(pl.col("gap").abs() >= LEAST).with_columns(direction=worried)
    return far.sort(pl.col("gap").abs(), "account_id", "source", descending=[True, False, False])
