"""Forward folds: the example of `training/folds.py`, and the promises that hold for any rows."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import SettingsError, TooFewLabels
from models.labels import LabelParams
from training.folds import forward_folds, roots

FIRST = datetime(2025, 6, 23, tzinfo=UTC)
MOMENTS = [FIRST + timedelta(days=28 * k) for k in range(15)]


def accounts(parents):
    return pl.DataFrame(
        {"account_id": list(parents), "parent_id": list(parents.values())},
        schema={"account_id": pl.String, "parent_id": pl.String},
    )


def rows_of(names, moments=MOMENTS):
    return pl.DataFrame([(name, t) for t in moments for name in names], schema=["account_id", "as_of"], orient="row")


SIXTEEN = {f"a{k:02}": None for k in range(16)}


class TestTheExample:
    def test_its_blocks(self):
        folds = forward_folds(rows_of(SIXTEEN), accounts(SIXTEEN))
        spans = {(f.block, f.train_to, f.test_from, f.test_to) for f in folds}
        m = MOMENTS
        assert spans == {
            (0, m[2], m[6], m[8]),
            (1, m[5], m[9], m[10]),
            (2, m[7], m[11], m[12]),
            (3, m[9], m[13], m[14]),
        }
        assert m[6] == datetime(2025, 12, 8, tzinfo=UTC)
        assert m[2] == datetime(2025, 8, 18, tzinfo=UTC)

    def test_four_groups_of_four_accounts(self):
        folds = forward_folds(rows_of(SIXTEEN), accounts(SIXTEEN))
        assert [(f.block, f.group) for f in folds] == [(b, g) for b in range(4) for g in range(4)]
        first = folds.folds[0]
        assert len(first.train) == 12 * 3  # three groups at m0, m1, m2
        assert len(first.test) == 4 * 3  # one group at m6, m7, m8

    def test_every_row_of_a_block_is_tested_once(self):
        rows = rows_of(SIXTEEN)
        folds = forward_folds(rows, accounts(SIXTEEN))
        later = np.flatnonzero((rows["as_of"] >= MOMENTS[6]).to_numpy())
        assert folds.tested.tolist() == later.tolist()
        assert (folds.rows, folds.purge.days, folds.blocks, folds.groups) == (rows.height, 104, 4, 4)


class TestPurge:
    @pytest.mark.parametrize(("gap_days", "usable"), [(104, True), (103, False)])
    def test_exactly_b_plus_h(self, gap_days, usable):
        moments = [FIRST, FIRST + timedelta(days=gap_days)]
        cut = {"blocks": 1, "groups": 2, "least": 1}
        if usable:
            assert len(forward_folds(rows_of(SIXTEEN, moments), accounts(SIXTEEN), **cut)) == 2
        else:
            with pytest.raises(TooFewLabels, match="span 103 days; a test on later moments needs 1 of them and"):
                forward_folds(rows_of(SIXTEEN, moments), accounts(SIXTEEN), **cut)

    def test_a_longer_one_forgets_what_was_not_reported(self):
        purge = LabelParams().settled
        folds = forward_folds(rows_of(SIXTEEN), accounts(SIXTEEN), purge=purge)
        assert all(f.train_to + timedelta(days=134) <= f.test_from for f in folds)
        assert folds.folds[0].test_from == MOMENTS[7]  # m2 + 134 d lies after m6

    def test_fewer_moments_fewer_blocks(self):
        folds = forward_folds(rows_of(SIXTEEN, MOMENTS[:8]), accounts(SIXTEEN))
        assert {f.block for f in folds} == {0, 1}

    def test_settings_without_a_meaning(self):
        for wrong in ({"groups": 1}, {"blocks": 0}, {"least": 0}):
            with pytest.raises(SettingsError):
                forward_folds(rows_of(SIXTEEN), accounts(SIXTEEN), **wrong)


class TestFamilies:
    def test_any_number_of_levels(self):
        family = roots(accounts({"c": "b", "b": "a", "a": None, "d": None}))
        assert dict(family.iter_rows()) == {"c": "a", "b": "a", "a": "a", "d": "d"}

    def test_a_parent_nobody_described_holds_its_children_together(self):
        family = dict(roots(accounts({"x": "head office", "y": "head office", "z": None})).iter_rows())
        assert family["x"] == family["y"] != family["z"]

    def test_a_circle_is_one_family(self):
        family = dict(roots(accounts({"a": "b", "b": "c", "c": "a", "d": "d"})).iter_rows())
        assert family == {"a": "a", "b": "a", "c": "a", "d": "d"}

    def test_groups_hold_as_many_families_each(self):
        hundred = {f"a{k}": None for k in range(100)}
        folds = forward_folds(rows_of(hundred), accounts(hundred), blocks=1, groups=5)
        assert [len(f.test) for f in folds] == [20 * 9] * 5

    def test_an_account_nobody_described_is_its_own_family(self):
        folds = forward_folds(rows_of(SIXTEEN), accounts({}))
        assert len(folds.tested) == 16 * 9

    def test_the_same_seed_cuts_the_same_and_another_does_not(self):
        def cut(seed):
            return [f.test.tolist() for f in forward_folds(rows_of(SIXTEEN), accounts(SIXTEEN), seed=seed)]

        assert cut(1) == cut(1) != cut(2)


names = st.integers(0, 11).map("a{}".format)


@settings(max_examples=100, deadline=None)
@given(
    parents=st.dictionaries(names, st.none() | names, min_size=2, max_size=12),
    offsets=st.lists(st.integers(0, 700), min_size=6, max_size=14, unique=True),
    keep=st.randoms(use_true_random=False),
    params=st.builds(LabelParams, blackout_days=st.integers(0, 30), horizon_days=st.integers(1, 120)),
    blocks=st.integers(1, 5),
    groups=st.integers(2, 5),
    seed=st.integers(0, 3),
)
def test_never_the_same_account_nor_the_same_time(parents, offsets, keep, params, blocks, groups, seed):
    moments = [FIRST + timedelta(days=d) for d in offsets]
    every = [(name, t) for name in parents for t in moments]
    some = keep.sample(every, k=max(1, 2 * len(every) // 3))  # accounts come and go, rows in any order
    rows = pl.DataFrame(some, schema=["account_id", "as_of"], orient="row")
    described = accounts(parents)
    try:
        folds = forward_folds(rows, described, params, blocks=blocks, groups=groups, least=1, seed=seed)
    except TooFewLabels:
        span = max(t for _, t in some) - min(t for _, t in some)
        assert span < params.window
        return
    family = dict(roots(described).iter_rows())
    looked_at = params.blackout_days + params.horizon_days
    for fold in folds:
        learnt, tested = [some[k] for k in fold.train], [some[k] for k in fold.test]
        assert not {family[name] for name, _ in learnt} & {family[name] for name, _ in tested}
        first_tested = min(t for _, t in tested)
        assert all(t + timedelta(days=looked_at) <= fold.test_from <= first_tested for _, t in learnt)
        assert all(fold.test_from <= t <= fold.test_to for _, t in tested)
    positions = [k for fold in folds for k in fold.test]
    assert len(positions) == len(set(positions))
    # Every row from the first tested moment on is tested.
    begin = min(fold.test_from for fold in folds)
    assert sorted(positions) == [k for k, (_, t) in enumerate(some) if t >= begin]


@settings(max_examples=40, deadline=None)
@given(order=st.permutations(range(len(SIXTEEN) * 8)))
def test_row_order_is_irrelevant(order):
    rows = rows_of(SIXTEEN, MOMENTS[:8])
    shuffled = rows[order]

    def cut(frame):
        return [
            (set(frame[f.train].rows()), set(frame[f.test].rows())) for f in forward_folds(frame, accounts(SIXTEEN))
        ]

    assert cut(rows) == cut(shuffled)
