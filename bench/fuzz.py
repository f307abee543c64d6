"""Requests nobody would think of, made from the description, against the service: no 5xx, nothing undocumented.

    python -m bench.fuzz --cases 20000

Every operation gets its share of the cases, half of them against the description. Each answer is held against all of
the tool's checks but those that are named in `LEFT_OUT`, with the reason; and against the codes that the description
names for its status.
"""

import argparse
import contextlib
import logging
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis.errors import Unsatisfiable

from tests.http.conftest import Served
from tests.http.test_openapi import code_conformance
from tests.http.tour import service

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis.core.failures import FailureGroup
    from schemathesis.generation import GenerationMode

#: A message of a helpdesk without its signature is not genuine, and a body that is none comes first. More items than a
#: batch holds are too large (413), beside what the tool expects of a refusal.
CONFIG = {
    "checks": {
        "missing_required_header": {"expected-statuses": ["400", "401", "403", "422"]},
        "negative_data_rejection": {
            "expected-statuses": ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "5xx"]
        },
    }
}
LEFT_OUT = {
    "positive_data_acceptance": "what fits the schema may still not fit the facts: a renewal before the start",
    "ensure_resource_availability": "needs chains of calls, which are not made here",
    "use_after_free": "the same",
}


def main() -> None:
    """Run the cases and print what was asked, and what broke."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), args.cases, args.seed)


class Asking:
    """One service, asked by generated cases; what it answered and what broke."""

    def __init__(self, served: Served, checks: Sequence[Callable[..., Any]]) -> None:
        self._headers = served.headers() | {"Accept-Encoding": "identity"}
        self._checks = checks
        self.statuses: Counter[int] = Counter()
        self.broken: dict[tuple[str, str], list[str]] = {}

    def operation(self, operation: Any, mode: Any, examples: int, seed: int) -> None:
        """Ask one operation so many cases of one kind."""
        try:
            strategy = operation.as_strategy(generation_mode=mode)
        except Exception:  # nothing can be wrong about an operation that takes nothing
            return

        def ask(case: Any) -> None:
            self._case(case, (operation.label, mode.value))

        quietly = settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        with contextlib.suppress(Unsatisfiable):
            seeded(seed)(quietly(given(strategy)(ask)))()

    def _case(self, case: Any, where: tuple[str, str]) -> None:
        answer = case.call(headers=self._headers)
        self.statuses[answer.status_code] += 1
        # A batch refuses the items that do not fit, one by one, and says 207.
        checks = [c for c in self._checks if answer.status_code != 207 or c.__name__ != "negative_data_rejection"]
        try:
            # The headers say which key was ours and which the tool made up, to see whether it would pass.
            case.validate_response(answer, checks=checks, headers=self._headers)
        except (Exception, FailureGroup) as error:
            self.broken.setdefault(where, []).append(str(error))


def run(folder: Path, cases: int, seed: int) -> None:
    """Ask every operation, and print."""
    served = service(folder)
    config = schemathesis.Config.from_dict(CONFIG)
    api = schemathesis.openapi.from_wsgi("/openapi.json", served.app, config=config)
    checks = [check for check in schemathesis.checks.CHECKS.get_all() if check.__name__ not in LEFT_OUT]
    checks.append(code_conformance)
    operations = [found.ok() for found in api.get_all_operations()]
    asking, started = Asking(served, checks), time.perf_counter()
    for operation in operations:
        for mode in GenerationMode:
            asking.operation(operation, mode, -(-cases // (2 * len(operations))), seed)
    total, took = sum(asking.statuses.values()), time.perf_counter() - started
    print(f"{total:,} cases on {len(operations)} operations in {took:.0f} s")
    print("answers: " + ", ".join(f"{status}: {count:,}" for status, count in sorted(asking.statuses.items())))
    print(f"checks: {', '.join(check.__name__ for check in checks)}")
    for name, why in LEFT_OUT.items():
        print(f"left out: {name} ({why})")
    for (label, mode), errors in asking.broken.items():
        print(f"\nBROKEN {label} ({mode}, {len(errors)} cases)\n{errors[0][:1500]}")
    print(f"\n{len(asking.broken) or 'nothing'} broke")


if __name__ == "__main__":
    main()
