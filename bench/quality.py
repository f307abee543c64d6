"""How good the trained model is on customers it has never seen, in worlds whose truth is known.

    python -m bench.quality --accounts 300 1000 3000 --seeds 5 --world default

Trains on one simulated population, scores another seed's 10,000 accounts as of 15 weeks before their end, and compares
with what then happened, with the expert's scorecard and with the oracle that knows the hidden state.
"""

import argparse
import statistics
import time
from datetime import timedelta

import numpy as np
import polars as pl

from models.features import compute
from models.history import History
from models.labels import label
from models.model import columns
from models.scoring import score_features
from models.standing import eligible
from training import expert as experts
from training import simulator
from training.sample import Sample, measure
from training.train import Config, Trained, train

WEEKS = 143
SEEN_WEEKS = WEEKS - 15
TOLD = ("auc", "top_decile_lift", "observed_expected", "calibration_slope", "precision_at_k")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, nargs="+", default=[1000])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--world", default="default", choices=("null", "default", "strong"))
    parser.add_argument("--tested", type=int, default=10_000)
    args = parser.parse_args()
    tests = {seed: population(args.tested, args.world, 1000 + seed) for seed in range(1, args.seeds + 1)}
    for accounts in args.accounts:
        rows = [one(accounts, args.world, seed, *tests[seed]) for seed in tests]
        print(f"\n{args.world} world, {accounts} accounts, {args.seeds} seeds: mean (min to max)")
        for name in rows[0]:
            values = [row[name] for row in rows]
            print(f"  {name:<34} {statistics.fmean(values):7.3f} ({min(values):.3f} to {max(values):.3f})")


def population(accounts: int, world: str, seed: int) -> tuple[History, pl.DataFrame, pl.DataFrame]:
    """A held-out population: its history, the labelled accounts of one moment, and the oracle's probabilities."""
    simulated = simulator.simulate(accounts, WEEKS, world, seed, snapshot_week=SEEN_WEEKS)
    history = History.from_frames(simulated.tables)
    moment = simulated.end - timedelta(weeks=WEEKS - SEEN_WEEKS)
    pairs = eligible(history, moment).filter(~pl.col("young")).select("account_id", "as_of")
    # The horizon ends before the data does; nothing is reported late here, so nothing needs to mature.
    labels = label(history, pairs, simulated.end + timedelta(days=30))
    truth = simulator.oracle(simulated.earlier, futures=200)
    return history, labels, truth


def one(
    accounts: int, world: str, seed: int, history: History, labels: pl.DataFrame, truth: pl.DataFrame
) -> dict[str, float]:
    """Train on one population and measure on the other."""
    simulated = simulator.simulate(accounts, WEEKS, world, seed)
    started = time.perf_counter()
    trained = train(History.from_frames(simulated.tables), simulated.end, Config(seed=seed))
    seconds = time.perf_counter() - started
    features = compute(history, labels.select("account_id", "as_of"), trained.model.baselines)
    scores = score_features(trained.model, features).hstack(labels.select("y_churn", "y_silent"))
    scores = scores.with_columns(features["account_id"], features["as_of"], features["days_since_voice"])
    scores = scores.with_columns(features["mrr_now"].cast(pl.Float64).alias("mrr"))
    card = experts.load().scorecard("silent")
    scores = scores.with_columns(pl.Series("expert", card.log_odds(columns(features))))
    return {**_measured(scores, truth), **_promised(trained, scores), "seconds to train": seconds}


def _measured(scores: pl.DataFrame, truth: pl.DataFrame) -> dict[str, float]:
    joined = scores.join(truth.select("account_id", "p_churn", "p_silent"), on="account_id", how="left", suffix="_true")
    found: dict[str, float] = {}
    for target in ("silent", "churn"):
        rows = joined.filter(pl.col(f"y_{target}").is_not_null() & pl.col(f"p_{target}_true").is_not_null())
        rows = rows.with_columns(pl.col(f"y_{target}").alias("y"))
        sample = measure(Sample.of(rows, f"p_{target}"), None, TOLD)
        found |= {f"{target} {name}": value for name, value in sample.items()}
        oracle = measure(Sample.of(rows, f"p_{target}_true"), None, ("auc",))["auc"]
        found[f"{target} oracle auc"] = oracle
        found[f"{target} share of oracle's excess"] = (sample["auc"] - 0.5) / (oracle - 0.5)
    rows = joined.filter(pl.col("y_silent").is_not_null()).with_columns(pl.col("y_silent").alias("y"))
    quiet = rows.filter(pl.col("days_since_voice") > 90)
    found["silent auc in the quiet set"] = measure(Sample.of(quiet, "p_silent"), None, ("auc",))["auc"]
    expert = rows.with_columns((1 / (1 + (-pl.col("expert")).exp())).alias("p_expert"))
    found["silent auc of the expert"] = measure(Sample.of(expert, "p_expert"), None, ("auc",))["auc"]
    return found


def _promised(trained: Trained, scores: pl.DataFrame) -> dict[str, float]:
    """What training itself said, beside what came true."""
    metrics = trained.report["metrics"]
    if metrics is None:
        return {}
    rows = scores.filter(pl.col("y_silent").is_not_null()).with_columns(pl.col("y_silent").alias("y"))
    true = measure(Sample.of(rows, "p_silent"), None, ("auc",))["auc"]
    promised = metrics["silent"]["auc"]["value"]
    gain = metrics["churn"]["gain"]["contract"]["auc"]
    return {
        "silent auc promised by folds": promised,
        "promised minus true": promised - true,
        "churn auc gained over contract": gain["value"],
        "  its lower bound": gain["low"],
        "silent served with pairs": float(trained.report["selection"]["silent"]["kind"] == "pairs"),
        "churn served with pairs": float(trained.report["selection"]["churn"]["kind"] == "pairs"),
        "tau silent": trained.report["tau"]["silent"]["final"],
        "tau churn": trained.report["tau"]["churn"]["final"],
        "silent events": float(np.int64(trained.report["rows"]["silent_events"])),
    }


if __name__ == "__main__":
    main()
