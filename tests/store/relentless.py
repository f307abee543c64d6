"""A process that imports contacts and publishes lists until it is killed, saying what it was told is done.

Contact number i has interaction_id `T<i>` and i transfers; every entry of the k-th list is named `list <k>`.
Started as `python -m tests.store.relentless ADDRESS`, it waits for a line `<first contact> <first list>`.
"""

import sys
import time

import polars as pl
from sqlalchemy.engine import Engine

from models.store import lists
from models.store.engine import connect
from models.store.errors import RunInProgress
from models.store.lists import publish_list
from models.store.upsert import Sink
from tests.store.cast import T, entries

#: Contacts per acknowledged write: three transactions.
STEP = 300


def contacts(first: int) -> pl.DataFrame:
    numbers = pl.int_range(first, first + STEP, eager=True)
    return pl.DataFrame(
        {
            "interaction_id": pl.select(pl.format("T{}", numbers)).to_series(),
            "account_id": pl.select(pl.format("a{}", numbers % 50)).to_series(),
            "transfers": numbers,
        }
    ).with_columns(opened_at=pl.lit(T))


def publish(engine: Engine, number: int) -> int:
    size = 400 + number % 7 * 100
    some = entries(*({"account_id": f"a{i}", "name": f"list {number}"} for i in range(size)))
    while True:
        try:
            said = {"as_of": T, "model_id": "m", "population": {"number": number}, "parameters": {}}
            return publish_list(engine, "silent", some, **said, created_at=T, keep=3)
        except RunInProgress:  # the database has not noticed yet that our predecessor is dead
            time.sleep(0.01)


def main(address: str) -> None:
    lists.BATCH_ROWS = 100  # several transactions per list
    engine = connect(address)
    sink = Sink(engine, batch_rows=STEP // 3)
    print("ready", flush=True)
    contact, number = map(int, sys.stdin.readline().split())
    while True:
        sink.write("interactions", contacts(contact))
        contact += STEP
        print("contacts", contact, flush=True)
        print("list", number, publish(engine, number), flush=True)
        number += 1


if __name__ == "__main__":
    main(sys.argv[1])
