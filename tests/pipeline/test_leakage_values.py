"""Values, encoded ids, copies, times and panels: each check catches its case and lets its near miss pass."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.leakage import Roles, doubts, examine
from training.leakage.counts import odds
from training.leakage.names import words
from training.leakage.times import is_duration

N = 1500


def dice(seed=0):
    return np.random.default_rng(seed)


Y = (dice(9).random(N) < 0.25).astype(int)


def kinds(frame, *columns, label="y", group="id", **options):
    """(column, kind, severity) of what was found about some columns."""
    return {(f.column, f.kind, f.severity) for f in doubts(frame, columns, Roles(label, group, **options)).found}


def a_table(y=Y, **columns):
    return pl.DataFrame({"id": np.arange(len(y)), "y": y, **columns})


def unknown_where(mask, seed=0):
    return [None if empty else value for empty, value in zip(mask, dice(seed).normal(size=len(mask)), strict=True)]


class TestOdds:
    def test_by_hand(self):
        # 91.4 % of 21,572 against 40.2 % of 50,702: odds 10.6 against 0.67.
        found = odds(21_572, 19_719, 72_274, 40_051, 1.0)
        assert found.ratio == pytest.approx(15.8, abs=0.1)
        assert 14.5 < found.least < found.ratio
        assert found.share == pytest.approx(0.914, abs=0.001)

    @given(st.integers(1, 400), st.integers(0, 400), st.integers(1, 400), st.integers(0, 400), st.floats(1, 30))
    def test_certainty_never_exceeds_the_ratio_and_the_reverse_mirrors_it(self, left, stayed, gone, here, weight):
        found = odds(left + stayed, left, left + stayed + gone + here, left + gone, weight)
        mirrored = odds(left + stayed, stayed, left + stayed + gone + here, stayed + here, weight)
        assert min(1, found.ratio) <= found.least <= max(1, found.ratio)
        assert found.ratio * mirrored.ratio == pytest.approx(1)
        assert found.least * mirrored.least == pytest.approx(1)

    def test_where_all_left_the_exact_bound_knows_more(self):
        # .00135 ** (1 / 60) = .896: odds 8.6; of 540 others 40 left, at most .114: odds .129. Woolf says 20.
        assert odds(60, 60, 600, 100, 1.0).least == pytest.approx(66.8, abs=0.1)
        # Ten rows each of six accounts are six pieces of evidence.
        assert odds(60, 60, 600, 100, 10.0).least < 3


class TestValues:
    def test_unknown_where_they_left(self):
        emptied = (dice(1).random(N) < np.where(Y == 1, 0.5, 0.02)).astype(bool)
        assert kinds(a_table(x=unknown_where(emptied)), "x") == {("x", "missing", "warning")}

    def test_nobody_without_a_value_stayed(self):
        y = np.tile(Y, 4)
        emptied = (dice(1).random(len(y)) < 0.7) & (y == 1)
        assert ("x", "missing", "error") in kinds(a_table(y, x=unknown_where(emptied)), "x")

    def test_gaps_of_ordinary_data(self):
        # Who was asked less left three times as often.
        emptied = (dice(1).random(N) < np.where(Y == 1, 0.5, 0.25)).astype(bool)
        assert kinds(a_table(x=unknown_where(emptied)), "x") == set()

    def test_a_handful_of_gaps_says_nothing(self):
        emptied = np.zeros(N, dtype=bool)
        emptied[np.flatnonzero(Y == 1)[:12]] = True
        assert kinds(a_table(x=unknown_where(emptied)), "x") == set()

    def test_zeros_after_the_exit(self):
        zero = dice(1).random(N) < np.where(Y == 1, 0.5, 0.01)
        use = np.where(zero, 0, dice(2).gamma(2, 5, N))
        assert kinds(a_table(x=use), "x") == {("x", "zero", "warning")}

    def test_zeros_that_stay_are_no_exit(self):
        zero = dice(1).random(N) < np.where(Y == 1, 0.01, 0.5)
        use = np.where(zero, 0, dice(2).gamma(2, 5, N))
        assert kinds(a_table(x=use), "x") == set()

    def test_a_flag_whose_zero_says_no(self):
        no = dice(1).random(N) < np.where(Y == 1, 0.9, 0.3)
        assert kinds(a_table(x=np.where(no, 0, 1)), "x") == set()

    def test_a_text_only_those_who_left_have(self):
        y = np.tile(Y, 8)
        state = np.where((dice(1).random(len(y)) < 0.3) & (y == 1), "handed in", dice(2).choice(["a", "b"], len(y)))
        assert kinds(a_table(y, x=state), "x") == {("x", "value", "error")}

    @pytest.mark.parametrize(("share", "expected"), [(0.6, {"error"}), (0.3, {"warning"}), (0.02, set())])
    def test_a_note_that_was_written_after_some_exits(self, share, expected):
        noted = (Y == 1) & (dice(1).random(N) < share)
        said = np.where(noted, "handed in", dice(2).choice(["a", "b"], N))
        assert {k[1:] for k in kinds(a_table(x=said), "x")} == {("value", severity) for severity in expected}
        mark = np.where(noted, 7, dice(2).integers(1, 4, N))
        assert {k[1:] for k in kinds(a_table(x=mark), "x")} == {("value", severity) for severity in expected}
        assert {k[1:] for k in kinds(a_table(x=noted), "x")} == {("value", severity) for severity in expected}

    def test_an_answer_only_those_who_left_gave(self):
        answered = (Y == 1) & (dice(1).random(N) < 0.15)
        assert kinds(a_table(x=unknown_where(~answered)), "x") == {("x", "missing", "warning")}

    def test_a_sign_most_of_those_who_have_it_left(self):
        # Six of ten against two of ten.
        arrears = dice(1).random(N) < np.where(Y == 1, 0.2, 0.045)
        assert kinds(a_table(x=np.where(arrears, "late", "paid"), k=arrears), "x", "k") == set()

    def test_an_ordinary_strong_text(self):
        # Monthly against yearly contracts: odds fifteen times as high.
        monthly = dice(1).random(N) < np.where(Y == 1, 0.9, 0.37)
        assert kinds(a_table(x=np.where(monthly, "monthly", "yearly")), "x") == set()

    def test_two_columns_emptied_together(self):
        # Each is often zero for itself, whoever left; both at once is the exit.
        y = np.tile(Y, 4)
        n = len(y)
        exits = (y == 1) & (dice(3).random(n) < 0.5)
        one = np.where(exits | (dice(4).random(n) < 0.3), 0, dice(5).gamma(2, 5, n))
        two = np.where(exits | ((one > 0) & (dice(6).random(n) < 0.4)), 0, dice(7).gamma(2, 5, n))
        assert ("one", "together", "error") in kinds(a_table(y, one=one, two=two), "one", "two")

    def test_two_columns_that_are_zero_for_light_users(self):
        light = dice(3).random(N) < np.where(Y == 1, 0.4, 0.25)
        one, two = (np.where(light & (dice(k).random(N) < 0.9), 0, dice(k + 2).gamma(2, 5, N)) for k in (4, 5))
        assert kinds(a_table(one=one, two=two), "one", "two") == set()

    def test_rows_of_one_account_are_one_piece_of_evidence(self):
        # Three accounts, forty rows each, are unknown and left: three facts, not 120.
        y = np.repeat((np.arange(60) < 20).astype(int), 40)
        frame = pl.DataFrame({"id": np.repeat(np.arange(60), 40), "y": y})
        frame = frame.with_columns(x=pl.Series(unknown_where((frame["id"] < 3).to_numpy())))
        assert kinds(frame, "x") == set()


class TestEncodedIds:
    def shops(self, count=120, n=N):
        return dice(1).integers(0, count, n)

    def test_the_mean_of_the_label_by_shop(self):
        shop = self.shops()
        rate = np.bincount(shop, weights=Y) / np.bincount(shop)
        assert ("x", "encoded", "error") in kinds(a_table(x=rate[shop]), "x")

    @pytest.mark.parametrize("rows", [3, 6, 12])
    def test_the_mean_by_owners_of_a_few_rows_each(self, rows):
        # Owners of one rate share one value, and its rows have exactly that rate.
        owner = np.arange(N) // rows
        rate = np.bincount(owner, weights=Y) / np.bincount(owner)
        caught = rows > 3  # at three rows there are four values, which say nothing
        assert (("x", "encoded", "error") in kinds(a_table(x=rate[owner]), "x")) == caught

    def test_the_mean_drawn_towards_the_base_rate(self):
        shop = self.shops()
        rate = (np.bincount(shop, weights=Y) + 5 * Y.mean()) / (np.bincount(shop) + 5)
        assert ("x", "encoded", "error") in kinds(a_table(x=rate[shop]), "x")

    def test_the_mean_by_owner_over_many_rows_per_account(self):
        accounts = np.repeat(np.arange(600), 6)
        y = ((dice(2).random(600) < 0.3)[accounts] & (np.tile(np.arange(6), 600) > 3)).astype(int)
        owner = dice(3).integers(0, 100, 600)[accounts]
        rate = np.bincount(owner, weights=y) / np.maximum(np.bincount(owner), 1)
        frame = pl.DataFrame({"id": accounts, "y": y, "x": rate[owner]})
        assert ("x", "encoded", "error") in kinds(frame, "x")

    def test_the_mean_of_other_rows_is_honest(self):
        # Last year's rate of the shop, from other customers; and shops do differ.
        truth = np.clip(dice(5).beta(2, 6, 120), 0.02, 0.9)
        shop = self.shops()
        y = (dice(6).random(N) < truth[shop]).astype(int)
        before = dice(7).binomial(20, truth) / 20
        exact = truth + dice(8).normal(0, 1e-6, 120)
        assert kinds(a_table(y, rate=before[shop], truth=exact[shop]), "rate", "truth") == set()

    @pytest.mark.parametrize("seed", range(8))
    def test_numbers_with_few_values_are_nothing(self, seed):
        counts = dice(seed).poisson(9, N)
        assert kinds(a_table(calls=counts, other=dice(seed).integers(0, 40, N)), "calls", "other") == set()
        strong = (dice(seed).random(N) < 0.1 + 0.08 * (counts - 4).clip(0, 10)).astype(int)
        assert kinds(a_table(strong, calls=counts, bands=counts.clip(6, 11)), "calls", "bands") == set()

    @pytest.mark.parametrize("seed", range(8))
    def test_shares_that_are_mostly_nothing_over_many_rows_per_account(self, seed):
        # One value holds most rows, the others a few each; exits come in runs of rows.
        account = np.repeat(np.arange(300), 12)
        n = len(account)
        y = ((dice(seed).random(300) < 0.2)[account] & (np.tile(np.arange(12), 300) > 8)).astype(int)
        total = dice(seed + 1).integers(1, 60, n)
        share = np.where(dice(seed + 2).random(n) < 0.8, 0.0, dice(seed + 3).binomial(total, 0.3) / total)
        assert kinds(pl.DataFrame({"id": account, "y": y, "x": share}), "x") == set()


class TestCopies:
    def honest(self, n=1000):
        return {
            "mrr": np.round(dice(1).gamma(2, 300, n), 2),
            "seen": dice(2).normal(size=n),
            "k": dice(3).poisson(2, n),
        }

    def frame(self, copies):
        y = (dice(4).random(1000) < 0.3).astype(int)
        table = pl.DataFrame({"y": y, **self.honest()})
        both = pl.concat([table, table[:copies]])
        return both.with_columns(id=pl.int_range(pl.len()))

    @pytest.mark.parametrize(("copies", "expected"), [(0, set()), (3, set()), (20, {"warning"}), (200, {"error"})])
    def test_by_share(self, copies, expected):
        found = doubts(self.frame(copies), ["mrr", "seen", "k"], Roles("y", "id")).found
        assert {f.severity for f in found if f.kind == "rows"} == expected

    def test_of_one_account_they_are_kept_on_one_side_anyway(self):
        frame = self.frame(200).with_columns(id=pl.int_range(pl.len()) % 1000)
        assert not [f for f in doubts(frame, ["mrr", "seen", "k"], Roles("y", "id")).found if f.kind == "rows"]

    def test_common_values_agree_by_chance(self):
        frame = a_table(plan=dice(1).choice(["a", "b"], N), calls=dice(2).poisson(2, N))
        assert kinds(frame, "plan", "calls") == set()


FIRST = datetime(2025, 1, 1, tzinfo=UTC)


def a_panel(accounts=80, months=8, **more):
    """Accounts with a row a month; every second leaves after its last row's month: its last row says 1."""
    account = np.repeat(np.arange(accounts), months)
    month = np.tile(np.arange(months), accounts)
    y = ((account % 2 == 0) & (month == months - 1)).astype(int)
    at = [FIRST + timedelta(days=30 * int(m) + int(a) % 7) for a, m in zip(account, month, strict=True)]
    frame = pl.DataFrame({"id": account, "as_of": at, "y": y, "month": month})
    return frame.with_columns(**{name: pl.Series(make(account, month, y)) for name, make in more.items()})


class TestPanels:
    def test_a_state_that_moves_at_the_exit(self):
        frame = a_panel(state=lambda a, m, y: np.where(y == 1, "b", "a"))
        assert ("state", "moves", "error") in kinds(frame, "state", as_of="as_of")

    def test_whatever_it_moves_to(self):
        # The value it takes is one that stays have, too, so no rate gives it away.
        frame = a_panel(team=lambda a, m, y: (a + y) % 5)
        assert kinds(frame, "team", as_of="as_of") == {("team", "moves", "error")}

    def test_a_third_of_the_exits_is_a_doubt(self):
        frame = a_panel(800, 8, team=lambda a, m, y: (a + y * (a % 6 < 2)) % 5)
        assert kinds(frame, "team", as_of="as_of") == {("team", "moves", "warning")}

    def test_numbers_that_move_all_the_time(self):
        frame = a_panel(logins=lambda a, m, y: dice(1).poisson(30 - 5 * y))
        assert kinds(frame, "logins", as_of="as_of") == set()

    def test_a_plan_that_changes_now_and_then(self):
        changed = dice(3).random((80, 8)) < 0.05
        frame = a_panel(plan=lambda a, m, y: np.cumsum(changed, axis=1)[a, m])
        assert kinds(frame, "plan", as_of="as_of") == set()

    def test_a_warning_sign_that_often_but_not_only_comes_before_the_exit(self):
        sign = dice(3).random((80, 8)) < 0.08
        frame = a_panel(complaint=lambda a, m, y: sign[a, m] | ((y == 1) & (a % 3 == 0)))
        assert not [k for k in kinds(frame, "complaint", as_of="as_of") if k[1] == "moves"]

    def test_the_decision_counts_as_the_exit(self):
        # Every row of those who will leave is a 1: the label never turns, the decision does.
        frame = a_panel(team=lambda a, m, y: (a + ((m >= 5) & (a % 2 == 0))) % 5).with_columns(
            y=(pl.col("id") % 2 == 0).cast(int),
            decided_at=pl.when(pl.col("id") % 2 == 0).then(FIRST + timedelta(days=140)),
        )
        assert ("team", "moves", "error") in kinds(frame, "team", as_of="as_of", decided_at="decided_at")
        assert "moves" not in {k[1] for k in kinds(frame, "team", as_of="as_of")}

    def test_a_field_of_today_beside_snapshots_of_the_past(self):
        # One value per account, on all its rows: weak row by row, the answer account by account.
        frame = a_panel(400, 12, noted=lambda a, m, y: np.where(a % 2 == 0, "x", "y"))
        findings = doubts(frame, ["noted"], Roles("y", "id", as_of="as_of"))
        assert findings.aucs["noted"] < 0.8
        assert ("noted", "auc", "error") in {(f.column, f.kind, f.severity) for f in findings.found}

    def test_a_note_of_today_about_some_of_them(self):
        # Four in five of those who left, all their rows.
        frame = a_panel(400, 12, noted=lambda a, m, y: np.where(np.isin(a % 10, (0, 2, 4, 6)), "gone", "there"))
        assert kinds(frame, "noted", as_of="as_of") == {("noted", "value", "warning")}

    def test_what_was_erased_when_they_left(self):
        # Known in some rows only, whoever stays; of those who left, in none.
        seen = dice(3).normal(size=(400, 12))
        frame = a_panel(400, 12, seen=lambda a, m, y: np.where((a % 2 == 0) | (m % 3 > 0), np.nan, seen[a, m]))
        frame = frame.fill_nan(None)
        assert ("seen", "missing", "error") in kinds(frame, "seen", as_of="as_of")
        assert not [k for k in kinds(frame, "seen", as_of="as_of") if k[1] == "value"]

    def test_a_flag_that_was_set_for_those_who_left(self):
        frame = a_panel(400, 12, undone=lambda a, m, y: ((a % 2 == 0) & (m > 5)).astype(float))
        assert kinds(frame, "undone", as_of="as_of") == {("undone", "value", "error")}
        often = dice(3).random((400, 12)) < 0.1
        fair = a_panel(400, 12, undone=lambda a, m, y: often[a, m] | ((a % 2 == 0) & (m == 9)))
        assert kinds(fair, "undone", as_of="as_of") == set()

    def test_an_ordinary_field_of_the_account(self):
        frame = a_panel(400, 12, size=lambda a, m, y: dice(1).integers(0, 5, 400)[a] + (a % 2))
        assert kinds(frame, "size", as_of="as_of") == set()


class TestTimes:
    def rows(self, **columns):
        return a_table(as_of=[date(2025, 3, 1)] * N, **columns)

    def test_known_only_later(self):
        known = [date(2025, 3, 2)] * 3 + [date(2025, 2, 1)] * (N - 3)
        frame = self.rows(known_at=known, x=dice().normal(size=N))
        (found,) = doubts(frame, ["x"], Roles("y", "id", as_of="as_of", known_at="known_at")).found
        assert (found.kind, found.severity, found.numbers["rows"]) == ("known_at", "error", 3.0)

    def test_known_in_time(self):
        frame = self.rows(known_at=[date(2025, 3, 1)] * N, x=dice().normal(size=N))
        assert kinds(frame, "x", as_of="as_of", known_at="known_at") == set()

    def dates(self, days):
        return [date(2025, 3, 1) + timedelta(days=int(d)) for d in days]

    def test_what_has_not_happened_yet_and_what_goes_with_it(self):
        days = dice(1).integers(-30, 30, N)
        frame = self.rows(closed_at=self.dates(days), closed_by=dice(2).choice(["x", "y"], N), by=dice(3).poisson(3, N))
        found = kinds(frame, "closed_at", "closed_by", "by", as_of="as_of")
        assert {k[:2] for k in found if k[1] == "later"} == {("closed_at", "later"), ("closed_by", "later")}

    @pytest.mark.parametrize("name", ["known_at", "recorded_at", "written_on"])
    def test_when_a_row_was_written_down(self, name):
        frame = self.rows(**{name: self.dates(dice(1).integers(-30, 30, N))})
        assert (name, "later", "error") in kinds(frame, name, as_of="as_of")

    @pytest.mark.parametrize("name", ["renewal_date", "contract_end", "next_visit", "due_on"])
    def test_plans_may_lie_ahead(self, name):
        assert kinds(self.rows(**{name: self.dates(dice(1).integers(-9, 300, N))}), name, as_of="as_of") == set()

    def test_a_date_of_unknown_meaning_is_a_doubt(self):
        frame = self.rows(visit=self.dates(dice(1).integers(-30, 30, N)))
        assert kinds(frame, "visit", as_of="as_of") == {("visit", "later", "warning")}

    def test_dates_written_as_days_before_the_row(self):
        frame = pl.DataFrame({"y": [0, 1], "as_of": [FIRST, FIRST], "closed_at": [0.0, -2.5], "opened_at": [3.0, None]})
        told = examine(frame, ["closed_at", "opened_at"], "y", as_of="as_of", ago=["closed_at", "opened_at"])
        late = [f for f in told.found if f.kind == "later"]
        assert [(f.column, f.severity, f.numbers["share"]) for f in late] == [("closed_at", "error", 0.5)]

    def test_a_date_that_never_lies_ahead_is_not_doubted_for_its_name(self):
        moments = [FIRST + timedelta(days=n) for n in range(4)]
        frame = pl.DataFrame({"y": [0, 1] * 2, "as_of": moments, "account_closed_at": [3.0, 0.0, None, 9.0]})

        def doubted(rows):
            told = examine(rows, ["account_closed_at"], "y", as_of="as_of", ago=["account_closed_at"])
            return [f.kind for f in told.found]

        assert doubted(frame) == []
        assert doubted(frame.with_columns(as_of=pl.lit(FIRST))) == ["name"]
        assert doubted(frame.with_columns(account_closed_at=pl.Series([3.0, 0.0, None, -1.0]))) == ["later", "name"]

    def test_clocks_that_differ(self):
        days = np.where(np.arange(N) < 4, 1, -20)
        assert kinds(self.rows(opened_at=self.dates(days)), "opened_at", as_of="as_of") == set()

    def test_a_column_that_follows_the_exit(self):
        until = dice(1).integers(15, 100, N)
        decided = [d if y else None for d, y in zip(self.dates(until), Y, strict=True)]
        stayed = dice(2).integers(0, 115, N)
        frame = self.rows(
            decided_at=decided,
            runs=np.where(Y == 1, until + dice(3).integers(0, 3, N), stayed),
            renewal=np.where(Y == 1, until + dice(4).integers(0, 60, N), stayed),
        )
        found = kinds(frame, "runs", "renewal", as_of="as_of", decided_at="decided_at")
        assert found == {("runs", "label_time", "error")}

    def test_a_duration_in_a_table_without_moments_is_a_doubt(self):
        months = dice(1).gamma(2, 12 - 6 * Y, N)
        assert kinds(a_table(tenure=months), "tenure") == {("tenure", "duration", "warning")}
        assert kinds(self.rows(tenure=months), "tenure", as_of="as_of") == set()
        assert kinds(a_table(tenure=dice(1).gamma(2, 12, N)), "tenure") == set()

    @pytest.mark.parametrize(
        "name", ["tenure", "months_active", "subscription_age", "account_length", "CustomerMonths"]
    )
    def test_durations(self, name):
        assert is_duration(name)

    @pytest.mark.parametrize("name", ["age", "call_duration", "active_users", "months", "session_length", "language"])
    def test_no_durations(self, name):
        assert not is_duration(name)


@settings(max_examples=60)
@given(st.text(max_size=30))
def test_words_are_lower_case_letters(name):
    assert all(word.isalpha() and word == word.lower() for word in words(name))
