"""The additive fitter on public wide tables, against what else is fitted to such tables.

python -m bench.tables                          all sets that are at hand, all rivals that are installed
python -m bench.tables mlc pysurvival           some sets
python -m bench.tables --models ours logistic   some models
python -m bench.tables --wide 50000 50          time and memory on a made table of so many rows and columns

Five folds, each row tested once, rows alike in every column on one side; the same folds for every model. Nothing is
set per table. The tables are read from the folder EBBTIDE_SHARED_DATA or from shared/data beside the project.
"""

import argparse
import importlib.util
import resource
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from bench import wide
from bench.figures import Watch, load
from bench.rivals import RIVALS, Rival
from models.health import expit
from training.additive.fitter import fit

Floats = npt.NDArray[np.float64]

FOLDS = 5
OURS = "ours"
#: Additive as well, so no measure of what being additive costs.
_ADDITIVE = (OURS, "logistic", "ebm")
_LIBRARY = {"lightgbm": "lightgbm", "catboost": "catboost"}
#: A difference in AUC or log loss too small to rank by.
TIE = 0.0005


@dataclass(frozen=True)
class Result:
    """One model on one table: per fold AUC, log loss and Brier score (folds, 3); seconds of work of all fits."""

    model: str
    scores: Floats
    seconds: float

    @property
    def mean(self) -> Floats:
        """(3,) AUC, log loss, Brier score."""
        found: Floats = self.scores.mean(axis=0)
        return found


def measure(
    table: wide.Table, model: str, rival: Callable[[npt.NDArray[np.intp], npt.NDArray[np.intp]], Floats]
) -> Result:
    """Fit and test on every fold; `rival` gives probabilities for (train, test) positions."""
    scores, watch = [], Watch()
    for train, test in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(table.y, table.y, table.groups):
        with watch.running():
            p = rival(train, test)
        y = table.y[test]
        scores.append((roc_auc_score(y, p), log_loss(y, p), brier_score_loss(y, p)))
    return Result(model, np.array(scores), watch.cpu)


def ours(table: wide.Table) -> Callable[[npt.NDArray[np.intp], npt.NDArray[np.intp]], Floats]:
    """The fitter, scored by the scorecard that would serve."""

    def predict(train: npt.NDArray[np.intp], test: npt.NDArray[np.intp]) -> Floats:
        fitted = fit(table.rows(train), table.y[train], table.groups[train])
        return expit(fitted.card.log_odds(table.rows(test)))

    return predict


def theirs(table: wide.Table, rival: Rival) -> Callable[[npt.NDArray[np.intp], npt.NDArray[np.intp]], Floats]:
    """A rival on the same columns."""
    return lambda train, test: rival(table.rows(train), table.y[train], table.rows(test))


def ranks(results: list[Result]) -> dict[str, tuple[float, float]]:
    """Model -> rank by log loss and by AUC, 1 the best; those within the same `TIE` behind the best share a rank."""
    auc, loss, _ = np.array([result.mean for result in results]).T
    by_loss, by_auc = (rankdata((values - values.min()) // TIE, "min") for values in (loss, -auc))
    return {result.model: (float(a), float(b)) for result, a, b in zip(results, by_loss, by_auc, strict=True)}


def heading(table: wide.Table) -> str:
    """What the table is, and the names of the columns of `line`."""
    dropped = ", ".join(f"{name} ({why})" for name, why in table.dropped.items())
    size = f"{len(table.y):,} rows, {len(table.columns)} columns, base rate {table.y.mean():.3f}"
    return (
        f"\n{table.name}: {size}; without {dropped}\n{'model':<15}{'AUC':>16}{'log loss':>16}{'Brier':>16}{'work':>9}"
    )


def line(result: Result) -> str:
    """Mean and standard deviation over the folds of AUC, log loss and Brier score, and seconds of work."""
    spread = result.scores.std(axis=0, ddof=1)
    cells = "".join(f"{m:>9.4f} ±{s:.4f}" for m, s in zip(result.mean, spread, strict=True))
    return f"{result.model:<15}{cells}{result.seconds:>7.0f} s"


def summary(results: list[Result]) -> list[str]:
    """Ranks, and what being additive costs."""
    found = [f"{model} {by_loss:.0f}/{by_auc:.0f}" for model, (by_loss, by_auc) in ranks(results).items()]
    lines = [f"rank by log loss/AUC, ties within {TIE}: {', '.join(found)}"]
    boxes = [result for result in results if result.model not in _ADDITIVE]
    mine = next((result for result in results if result.model == OURS), None)
    if mine and boxes:
        auc = max(result.mean[0] for result in boxes) - mine.mean[0]
        loss = mine.mean[1] - min(result.mean[1] for result in boxes)
        lines.append(f"cost of being additive, against the best black box: AUC {auc:+.4f}, log loss {loss:+.4f}")
    if mine and len(results) > 1:
        lines += [_behind(mine, results, 0, "AUC"), _behind(mine, results, 1, "log loss")]
    return lines


def _behind(mine: Result, results: list[Result], measure: int, name: str) -> str:
    """How far the best of all others is ahead; the error is that of the mean of the folds' differences, which share
    most of the rows they learn from and so differ less than new tables would."""
    sign = 1 if measure == 0 else -1
    best = max((result for result in results if result is not mine), key=lambda other: sign * other.mean[measure])
    ahead = sign * (best.scores - mine.scores)[:, measure]
    error = ahead.std(ddof=1) / np.sqrt(len(ahead))
    return f"{name} behind the best of all others ({best.model}): {ahead.mean():+.4f} (standard error {error:.4f})"


def compare(names: list[str], models: list[str]) -> None:
    """Print every table's lines as they are found, and the mean ranks."""
    every = []
    for name in names:
        try:
            table = wide.read(name)
        except FileNotFoundError:
            print(f"\n{name}: skipped, its files are not in {wide.folder()} (set EBBTIDE_SHARED_DATA)")
            continue
        print(heading(table), flush=True)
        results = []
        for model in models:
            results.append(measure(table, model, ours(table) if model == OURS else theirs(table, RIVALS[model])))
            print(line(results[-1]), flush=True)
        print("\n".join(summary(results)), flush=True)
        every.append(ranks(results))
    if not every:
        return
    print(f"\n{'mean rank':<15}{'log loss':>10}{'AUC':>8}{'first by log loss':>20}{'first by AUC':>15}")
    for model in models:
        by_loss, by_auc = np.array([found[model] for found in every]).T
        first = f"{(by_loss == 1).sum():>15} of {len(every)}{(by_auc == 1).sum():>10} of {len(every)}"
        print(f"{model:<15}{by_loss.mean():>10.1f}{by_auc.mean():>8.1f}{first}")


def made(rows: int, columns: int) -> None:
    """Print time and memory of one fit on a made table: numbers and a fifth of texts, steps and crossings."""
    rng = np.random.default_rng(0)
    texts = columns // 5
    table = {f"number {i}": rng.gamma(2.0, 10.0, rows).round(2) for i in range(columns - texts)}
    table |= {f"text {i}": rng.choice(np.array(list("abcdefgh"), dtype=object), rows) for i in range(texts)}
    x = np.column_stack([table[f"number {i}"] for i in range(6)])
    log_odds = -2 + 0.04 * x[:, 0] + (x[:, 1] > 30) + 2 * ((x[:, 2] > 20) & (x[:, 3] > 20)) - 0.02 * x[:, 4]
    y = (rng.random(rows) < expit(log_odds)).astype(np.float64)
    print(load())
    with Watch().running() as watch:
        fitted = fit(table, y, np.arange(rows), progress=lambda text: print(f"  {text}", flush=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{rows:,} rows x {columns} columns: {watch.wall:.0f} s ({watch.cores()}), peak memory {peak:.1f} GiB")
    print(f"weights { ({name: round(member['weight'], 2) for name, member in fitted.report['members'].items()}) }")


def main(arguments: list[str] | None = None) -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"{', '.join(wide.TABLES)}; default: all")
    parser.add_argument("--models", nargs="+", choices=(OURS, *RIVALS), default=[OURS, *RIVALS])
    parser.add_argument("--wide", nargs=2, type=int, metavar=("ROWS", "COLUMNS"), help="time a made table instead")
    args = parser.parse_args(arguments)
    unknown = [name for name in args.sets if name not in wide.TABLES]
    if unknown:
        parser.error(f"there is no set {unknown[0]!r}; the sets are {', '.join(wide.TABLES)}")
    if args.wide:
        return made(*args.wide)
    absent = [model for model in args.models if model in _LIBRARY and not importlib.util.find_spec(_LIBRARY[model])]
    for model in absent:
        print(f"{model}: skipped, it is not installed (pip install 'ebbtide[rivals]')")
    warnings.filterwarnings("ignore", module="interpret|sklearn|lightgbm")
    return compare(args.sets or list(wide.TABLES), [model for model in args.models if model not in absent])


if __name__ == "__main__":
    main()
