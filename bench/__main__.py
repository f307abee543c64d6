"""Every figure of the product's speed beside its aim and, where there is one, a yardstick measured in the same run.

python -m bench                      all of them, small: about three minutes
python -m bench features raw         some of them
python -m bench --full full-run      at the sizes the aims are declared for
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import features, figures, fit, ingest, nightly, raw, simulation
from bench.model import fitted

#: Option -> (small, full).
SIZES = {
    "accounts": (20_000, 1_000_000),
    "snapshot_accounts": (5_000, 100_000),
    "train_accounts": (600, fit.ACCOUNTS),
    "rows": (50_000, 1_000_000),
    "requests": (300, 1_000),
    "simulated": (simulation.ACCOUNTS, simulation.ACCOUNTS),
}

Bench = Callable[[argparse.Namespace, Path], list[figures.Figure]]

BENCHES: dict[str, Bench] = {
    "simulate": lambda sizes, _: simulation.figures(sizes.simulated),
    "train": lambda sizes, _: fit.figures(sizes.train_accounts),
    "features": lambda sizes, folder: features.figures(sizes.snapshot_accounts, folder),
    "raw": lambda sizes, folder: raw.figures(fitted(folder), sizes.requests),
    "full-run": lambda sizes, folder: nightly.figures(folder, sizes.accounts, "Parquet"),
    "store": lambda sizes, folder: nightly.figures(folder, sizes.accounts, "the store"),
    "ingest": lambda sizes, folder: ingest.figures(folder, sizes.rows),
    "http": lambda sizes, _: _http(sizes),
}


def main(arguments: list[str] | None = None) -> None:
    """Run the benches asked for and print a line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benches", nargs="*", metavar="BENCH", help=f"{', '.join(BENCHES)}; default: all")
    parser.add_argument("--full", action="store_true", help="the sizes the aims are declared for")
    for name, (small, full) in SIZES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help=f"default {small:,}, full {full:,}")
    args = parser.parse_args(arguments)
    unknown = [name for name in args.benches if name not in BENCHES]
    if unknown:
        parser.error(f"there is no bench {unknown[0]!r}; the benches are {', '.join(BENCHES)}")
    for name, sizes in SIZES.items():
        if getattr(args, name) is None:
            setattr(args, name, sizes[args.full])
    folder = Path(tempfile.mkdtemp(prefix="ebbtide-bench-"))
    print(f"{figures.load()}\n\n{figures.HEADER}", flush=True)
    try:
        for name in args.benches or BENCHES:
            for figure in BENCHES[name](args, folder):
                print(figure.line(), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _http(args: argparse.Namespace) -> list[figures.Figure]:
    """The service's bench prints a table of its own."""
    size = ["--accounts", str(args.accounts), "--seconds", "10"] if args.full else []
    subprocess.run([sys.executable, "-m", "bench.http", *size], check=True)
    return []


if __name__ == "__main__":
    main()
