"""If-Match: nobody overwrites what he has not seen."""

import threading

import pytest

from tests.http.cast import day
from tests.http.test_errors import assert_problem

PATH = "/v1/accounts/A-7"
ROW = {"name": "Seven", "started_at": day(300).isoformat(), "mrr": 90.5, "is_test": False}


def put(served, body=ROW, **headers):
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return served.client.put(PATH, json=body, headers=served.headers() | given)


def test_read_change_write(either):
    made = put(either)
    assert made.status_code == 201
    read = either.get(PATH)
    assert read.json["mrr"] == 90.5
    assert read.json["started_at"].endswith("Z")
    assert read.json["owner"] is None
    tag = read.headers["ETag"]
    assert tag == made.headers["ETag"]
    assert not tag.startswith("W/"), "a weak tag never matches in If-Match"
    changed = put(either, {**ROW, "mrr": 91.0}, If_Match=tag)
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag
    assert_problem(put(either, {**ROW, "mrr": 92.0}, If_Match=tag), 412, "precondition_failed")
    assert either.get(PATH).json["mrr"] == 91.0
    assert either.get(PATH).headers["ETag"] == changed.headers["ETag"]
    assert put(either, {**ROW, "mrr": 92.0}, If_Match=f'"other", {changed.headers["ETag"]}').status_code == 200


@pytest.mark.parametrize(
    ("header", "there", "absent"),
    [
        ({"If_Match": "*"}, 200, 412),
        ({"If_Match": '"x"'}, 412, 412),
        ({"If_Match": "nonsense"}, 412, 412),
        ({"If_None_Match": "*"}, 412, 201),
        ({"If_None_Match": '"x"'}, 200, 201),
        ({"If_Match": "*", "If_None_Match": "*"}, 412, 412),
        ({}, 200, 201),
    ],
)
def test_conditions(served, header, there, absent):
    assert put(served, **header).status_code == absent
    put(served)
    assert put(served, {**ROW, "mrr": 1.0}, **header).status_code == there


def test_a_body_that_does_not_fit_comes_first(served):
    assert_problem(put(served, {"mrr": "x"}, If_Match="*"), 422, "invalid_body")


def test_unchanged_answers_are_not_sent_again(served):
    tag = put(served).headers["ETag"]
    assert served.get(PATH, headers={"If-None-Match": tag}).status_code == 304
    packed = served.get(PATH, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in packed.headers, "a strong tag is of these very bytes"


def test_of_many_writers_who_saw_the_same_one_wins(either):
    tag = put(either).headers["ETag"]
    start, found = threading.Barrier(4), []

    def change(n: int) -> None:
        start.wait()
        client = either.app.test_client()
        headers = either.headers() | {"If-Match": tag}
        found.append(client.put(PATH, json={**ROW, "mrr": float(n)}, headers=headers).status_code)

    threads = [threading.Thread(target=change, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [200, 412, 412, 412]


def test_elsewhere_a_condition_is_refused_not_ignored(served):
    got = served.client.post("/v1/accounts", json={"items": []}, headers=served.headers() | {"If-Match": '"x"'})
    assert_problem(got, 400, "condition_not_supported")


def test_an_account_nobody_described(served):
    assert_problem(served.get(PATH), 404, "unknown_account")
    assert_problem(served.get(PATH, "writer"), 403, "forbidden")
