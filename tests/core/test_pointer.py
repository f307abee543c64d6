"""The model in service: promoted, rolled back, told apart from damage, under concurrent hands."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from models.errors import ArtefactError, NaiveTime, UnsafeArtefact
from models.registry import (
    current,
    history,
    promote,
    rollback,
    stamp,
)
from tests.core.artefacts import NOW, flip, stored, tampered


def test_promote_and_roll_back(tmp_path):
    a, b, c = (stored(tmp_path, minutes) for minutes in range(3))
    assert current(tmp_path) is None
    first = promote(tmp_path, a, "ana", NOW, "the first")
    assert (first.number, first.action, first.model_id, first.previous) == (1, "promote", a, None)
    assert (first.who, first.when, first.why) == ("ana", "2026-11-21T09:30:00Z", "the first")
    promote(tmp_path, b, "bob", NOW, "better lift")
    promote(tmp_path, c, "bob", NOW, "better still")
    assert current(tmp_path).model_id == c
    assert rollback(tmp_path, "ana", NOW, "alarms").model_id == b

    def refuse(model_id: str) -> None:
        raise ArtefactError(f"{model_id} does not open")

    with pytest.raises(ArtefactError, match=f"{a} does not open"):
        rollback(tmp_path, "ana", NOW, "still alarms", opened=refuse)
    assert current(tmp_path).model_id == b
    back = rollback(tmp_path, "ana", NOW, "still alarms")
    assert (back.model_id, back.previous, back.action) == (a, b, "rollback")
    with pytest.raises(ArtefactError, match="no earlier model"):
        rollback(tmp_path, "ana", NOW, "once more")
    promote(tmp_path, c, "ana", NOW, "repaired")
    assert rollback(tmp_path, "ana", NOW, "no").model_id == a
    assert [change.model_id for change in history(tmp_path)] == [a, b, c, b, a, c, a]
    assert history(tmp_path)[-1] == current(tmp_path)


def test_promoting_what_is_in_service_changes_nothing(tmp_path):
    a = stored(tmp_path)
    first, before = promote(tmp_path, a, "ana", NOW, "why"), stamp(tmp_path)
    assert promote(tmp_path, a, "bob", NOW, "again") == first
    assert stamp(tmp_path) == before
    assert len(history(tmp_path)) == 1


def test_a_change_says_who_when_and_why(tmp_path):
    a = stored(tmp_path)
    for who, why in (("", "why"), ("ana", " ")):
        with pytest.raises(ArtefactError, match="who makes it and why"):
            promote(tmp_path, a, who, NOW, why)
    with pytest.raises(NaiveTime):
        promote(tmp_path, a, "ana", NOW.replace(tzinfo=None), "why")
    assert current(tmp_path) is None


def test_rolling_back_to_a_damaged_artefact_is_refused(tmp_path):
    a = tampered(tmp_path, lambda at: None)
    b = stored(tmp_path, minutes=1)
    promote(tmp_path, a, "ana", NOW, "why")
    promote(tmp_path, b, "ana", NOW, "why")
    flip(tmp_path / a)
    with pytest.raises(UnsafeArtefact):
        rollback(tmp_path, "ana", NOW, "why")
    assert current(tmp_path).model_id == b


def test_the_stamp_changes_with_the_pointer(tmp_path):
    a, b = stored(tmp_path), stored(tmp_path, 1)
    seen = [stamp(tmp_path)]
    for model_id in (a, b, a, b):
        promote(tmp_path, model_id, "ana", NOW, "why")
        seen.append(stamp(tmp_path))
    assert len(set(seen)) == 5


def test_names_and_reasons_may_hold_anything(tmp_path):
    a = stored(tmp_path)
    change = promote(tmp_path, a, "Ana\nBob", NOW, 'a "reason"\n{"number": 9}\u2028é')
    assert history(tmp_path) == [change]


def test_a_change_whose_line_was_not_written_is_not_lost(tmp_path):
    a, b, c = (stored(tmp_path, minutes) for minutes in range(3))
    for model_id in (a, b):
        promote(tmp_path, model_id, "ana", NOW, "why")
    lines = (tmp_path / "history.jsonl").read_bytes().splitlines(keepends=True)
    for torn in (b"", lines[1][:20]):
        (tmp_path / "history.jsonl").write_bytes(lines[0] + torn)
        assert [change.model_id for change in history(tmp_path)] == [a, b]
    promote(tmp_path, c, "ana", NOW, "why")
    assert (tmp_path / "history.jsonl").read_bytes().splitlines(keepends=True)[:2] == lines
    assert [change.number for change in history(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize("content", ["", "{}", "null", '{"number": "1"}', "20261121T093000Z-1a2b3c4d"])
def test_a_damaged_pointer_is_named(content, tmp_path):
    stored(tmp_path)
    (tmp_path / "current").write_text(content)
    with pytest.raises(ArtefactError, match="file current of the artefact store is damaged"):
        current(tmp_path)


def test_a_pointer_that_leads_elsewhere_is_refused(tmp_path):
    promote(tmp_path, stored(tmp_path), "ana", NOW, "why")
    entries = json.loads((tmp_path / "current").read_text())
    (tmp_path / "current").write_text(json.dumps({**entries, "model_id": "../../etc"}))
    with pytest.raises(ArtefactError, match="is not a model id"):
        current(tmp_path)


def test_concurrent_promotions_are_all_in_the_history_in_order(tmp_path):
    ids = [stored(tmp_path, minutes) for minutes in range(4)]
    done, broken = threading.Event(), []

    def watch() -> None:
        while not done.is_set():
            try:
                found = current(tmp_path)
                changes = history(tmp_path)
                assert found is None or found.model_id in ids
                assert [change.number for change in changes] == list(range(1, len(changes) + 1))
            except Exception as error:
                broken.append(error)
                return

    def change(worker: int) -> None:
        for turn in range(15):
            promote(tmp_path, ids[(worker + turn) % 4], f"worker {worker}", NOW, f"turn {turn}")

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(4)))
    done.set()
    watcher.join()
    assert broken == []
    changes = history(tmp_path)
    assert [change.number for change in changes] == list(range(1, len(changes) + 1))
    assert [change.previous for change in changes[1:]] == [change.model_id for change in changes[:-1]]
    assert len((tmp_path / "history.jsonl").read_bytes().splitlines()) == len(changes)
    assert changes[-1] == current(tmp_path)


def test_concurrent_puts_of_the_same_artefact_agree(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: stored(tmp_path), range(8)))
    assert len(ids) == 1
    assert os.listdir(tmp_path) == list(ids)
