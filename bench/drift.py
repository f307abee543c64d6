"""How soon a watch notices what went wrong, and how often it cries wolf, in worlds whose faults are known.

    python -m bench.drift --accounts 1000 --seeds 20

Every seed's base lives through 104 weeks without faults; a model is fitted on them. From week 112 on one fault is at
work, or none, and the model is watched every 28 days. Told per world and finding: in how many seeds it came up, after
how many weeks (median, earliest and latest), and in how many seeds it had come up before the fault began. The model is
fitted as `train` does at its default freedom, without the forward folds, which would only take time here.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import polars as pl
from threadpoolctl import threadpool_limits

from models import health
from models.features import FEATURES, compute, measure
from models.features.fingerprint import fingerprints
from models.health import HealthParams
from models.history import History
from models.labels import LabelParams, label
from models.model import ChurnModel, usual_values
from models.monitor.reference import Reference, take
from models.monitor.rows import EVERY_DAYS, scored_rows
from models.monitor.watch import MONTHS, Watch, judge
from training import expert as experts
from training import fitting, simulator
from training.cross import DEFAULT_TAU
from training.simulator import FAULTS, Fault
from training.snapshots import snapshots

CUT, SINCE, WEEKS = 104, 112, 164
WORLDS = ("none", *FAULTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--worlds", nargs="+", default=list(WORLDS), choices=WORLDS)
    parser.add_argument("--out", type=Path, help="keep every finding as a line of JSON; lines already there are reused")
    args = parser.parse_args()
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    kept = _kept(args.out)
    started = time.perf_counter()
    for seed in seeds:
        wanted = [world for world in args.worlds if (seed, world, args.accounts) not in kept]
        for line in one_seed(seed, wanted, args.accounts):
            kept[seed, line["world"], args.accounts] = line
            _keep(args.out, line)
            print(f"{time.perf_counter() - started:6.0f} s  seed {seed}  {line['world']}", file=sys.stderr, flush=True)
    lines = [kept[seed, world, args.accounts] for seed in seeds for world in args.worlds]
    print(report(lines))


def _kept(path: Path | None) -> dict[tuple[int, str, int], dict[str, Any]]:
    if path is None or not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {(line["seed"], line["world"], line["accounts"]): line for line in lines}


def _keep(path: Path | None, line: dict[str, Any]) -> None:
    if path is not None:
        with path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")


def one_seed(seed: int, worlds: list[str], accounts: int) -> Iterator[dict[str, Any]]:
    """Fit once, watch in each world."""
    if not worlds:
        return
    with threadpool_limits(limits=1, user_api="blas"):
        model, reference = fitted(seed, accounts)
        for world in worlds:
            yield one_world(model, reference, seed, world, accounts)


def fitted(seed: int, accounts: int) -> tuple[ChurnModel, Reference]:
    """The model of a seed's base as it stood when the training ended, and what was normal then."""
    simulated = simulator.simulate(accounts, WEEKS, "default", seed)
    cutoff = simulated.start + timedelta(weeks=CUT)
    known = History.from_frames(simulated.tables).known_at(cutoff)
    pairs = snapshots(known, cutoff)
    labels = label(known, pairs, cutoff)
    usable = labels["y_churn"].is_not_null()
    labels, baselines, expert = labels.filter(usable), measure(known, cutoff), experts.load()
    matrix = compute(known, pairs.filter(usable), baselines).hstack(labels.select("decided_at", "y_churn", "y_silent"))
    cards = []
    for target in ("churn", "silent"):
        prepared = fitting.Material.of(matrix, target, expert, FEATURES).prepare()
        found = fitting.path(prepared, (fitting.RECALIBRATED, DEFAULT_TAU))[-1]
        cards.append(fitting.centred(fitting.scorecard(prepared, found), matrix))
    model = ChurnModel(
        churn=cards[0],
        silent=cards[1],
        health=HealthParams.for_base(cards[0].base),
        label=LabelParams(),
        baselines=baselines,
        usual=usual_values(matrix),
        status="bench",
        phase="P2",
        fingerprints=fingerprints(),
    )
    reference = take(model, known, cutoff, labels)
    assert reference is not None
    return replace(model, reference=reference.to_plain()), reference


def one_world(model: ChurnModel, reference: Reference, seed: int, world: str, accounts: int) -> dict[str, Any]:
    """Everything the watches of one world found, by the week they were taken in."""
    faults = [] if world == "none" else [Fault(world, SINCE)]
    simulated = simulator.simulate(accounts, WEEKS, "default", seed, faults=faults)
    history = History.from_frames(simulated.tables)
    first = MONTHS - 1
    weeks = list(range(CUT - 4 * first, WEEKS + 1, 4))
    at = {week: simulated.start + timedelta(weeks=week) for week in weeks}
    rows = scored_rows(model, history, list(at.values()))
    looks = []
    for week in weeks:
        if week <= CUT:
            continue
        past = [at[week] - timedelta(days=EVERY_DAYS * back) for back in range(MONTHS)]
        mine = rows.filter(pl.col("as_of").is_in(past))
        looks.append(told(week, model, judge(model, history.known_at(at[week]), at[week], mine, reference), mine))
    return {"seed": seed, "world": world, "accounts": accounts, "looks": looks}


def told(week: int, model: ChurnModel, found: Watch, rows: pl.DataFrame) -> dict[str, Any]:
    """What one watch said, short."""
    present = rows.filter(pl.col("as_of") == found.as_of)
    points = health.health(present["log_odds_churn"].to_numpy(), model.health)
    return {
        "week": week,
        "findings": [[f.kind, f.severity, f.subject, f.sentence] for f in found.findings],
        "p_churn": float(present["p_churn"].to_numpy().mean()),
        "red": float((points < model.health.watch).mean()),
        "observed": [[o.target, o.span, o.ratio, o.auc, o.exits] for o in found.observed],
        "auc_expected": found.estimated["churn"]["auc"],
    }


#: What is counted: name -> kind, severity and subject of the finding, as patterns.
COUNTED = {
    "O/E alarm": ("observed_expected", "*", "*"),
    "mean risk alarm": ("score_drift", "alarm", "*"),
    "risks spread otherwise": ("score_drift", "info", "*"),
    "feature, matters": ("input_drift", "warning", "*"),
    "feature, any": ("input_drift", "*", "*"),
    "portfolio moved together": ("portfolio_shift", "*", "*"),
    "mix of segments": ("mix_shift", "*", "*"),
    "contacts, all": ("contact_coverage", "*", "contacts"),
    "contacts, a part": ("contact_coverage", "*", "contacts: *"),
    "feed stopped": ("contact_coverage", "alarm", "contacts"),
    "service: repeats": ("service_change", "*", "service: repeats"),
    "invitations": ("survey_coverage", "*", "invitations: *"),
    "answers": ("survey_coverage", "*", "answers: *"),
    "anything of warning or alarm": ("*", "[wa]*", "*"),
    "any alarm": ("*", "alarm", "*"),
}


def report(lines: list[dict[str, Any]]) -> str:
    """A table per world."""
    found = []
    for world in dict.fromkeys(line["world"] for line in lines):
        mine = [line for line in lines if line["world"] == world]
        found.append(f"\n{world}: {FAULTS.get(world, 'nothing goes wrong')}; {len(mine)} seeds")
        found.append(f"  {'finding':<26}{'seeds':>6}{'weeks until it came up':>26}{'before':>8}")
        for name in COUNTED:
            row = counted(mine, name)
            if row:
                found.append(row)
        found.append(f"  {levels(mine)}")
    return "\n".join(found)


def counted(lines: list[dict[str, Any]], name: str) -> str:
    """In how many seeds it came up, when, and in how many before anything was wrong."""
    weeks = [[look["week"] for look in line["looks"] if _shows(look, name)] for line in lines]
    before = sum(any(week <= SINCE for week in each) for each in weeks)
    after = [min(week for week in each if week > SINCE) - SINCE for each in weeks if any(w > SINCE for w in each)]
    if not after and not before:
        return ""
    delay = f"{statistics.median(after):.0f} ({min(after)} to {max(after)})" if after else "-"
    return f"  {name:<26}{len(after):>6}{delay:>26}{before:>8}"


def _shows(look: dict[str, Any], name: str) -> bool:
    return any(all(map(fnmatchcase, finding, COUNTED[name])) for finding in look["findings"])


def levels(lines: list[dict[str, Any]]) -> str:
    """Mean risk, share at risk, AUC and O/E of all exits since training, before the fault and at the end."""

    def mean(week: int, value: Any) -> float:
        return statistics.fmean(value(look) for line in lines for look in line["looks"] if look["week"] == week)

    def whole(look: dict[str, Any], place: int) -> float:
        return next(one[place] for one in look["observed"] if one[:2] == ["churn", "all"])

    parts = {
        "mean risk": (lambda look: look["p_churn"], ".4f"),
        "at risk or critical": (lambda look: look["red"], ".1%"),
        "AUC": (lambda look: whole(look, 3), ".3f"),
        "AUC expected": (lambda look: look["auc_expected"], ".3f"),
        "O/E": (lambda look: whole(look, 2), ".2f"),
    }
    said = [
        f"{name} {mean(SINCE, value):{form}} -> {mean(WEEKS, value):{form}}" for name, (value, form) in parts.items()
    ]
    return "; ".join(said)


if __name__ == "__main__":
    main()
