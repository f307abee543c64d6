"""GET /v1/model/history: what was in service when, for those who may know who decided."""

import shutil
from datetime import timedelta

import pytest

from models import registry
from models.errors import PromotionRefused
from tests.http.cast import NOW, put_model
from tests.http.conftest import serve
from tests.http.test_errors import assert_problem


@pytest.fixture
def root(model_store, tmp_path):
    copy = tmp_path / "artefacts"
    shutil.copytree(model_store[0], copy)
    return copy


@pytest.fixture
def eventful(sqlite_store, root, model_store):
    """A model promoted, another refused, then forced, then rolled back."""
    overruled = {"leakage": {"overrides": [{"who": "mia", "finding": {"column": "status"}}]}}
    facts = registry.Facts("expert", "P0", {"a": "1"}, 0.04, {"look_back_days": 90}, metrics=overruled)
    leaky = registry.put(root, {"x": 1}, facts, NOW)
    with pytest.raises(PromotionRefused):
        registry.promote(root, leaky, "bob", NOW + timedelta(hours=1), "newer")
    registry.promote(root, leaky, "eve", NOW + timedelta(hours=2), "known and meant", force=True)
    registry.rollback(root, "ana", NOW + timedelta(hours=3), "alarm")
    return serve(sqlite_store, root, model_store[1]), leaky


def test_it_tells_everything_newest_first(eventful, model_store):
    served, leaky = eventful
    body = served.get("/v1/model/history").json
    assert (body["in_service"], body["next"], body["next_cursor"]) == (model_store[1], None, None)
    objection = "its leakage finding about status was overruled by mia"
    back, forced, refused, first = body["entries"]
    assert back == {
        "action": "rollback", "model_id": model_store[1], "previous": leaky, "who": "ana",
        "at": registry.history(served.artefacts)[-1].when, "why": "alarm", "forced": False, "objections": [],
    }  # fmt: skip
    assert (forced["action"], forced["forced"], forced["objections"]) == ("promote", True, [objection])
    assert (refused["action"], refused["forced"], refused["objections"]) == ("refuse", False, [objection])
    assert (refused["model_id"], refused["previous"], refused["who"]) == (leaky, model_store[1], "bob")
    assert (first["action"], first["previous"]) == ("promote", None)


def test_pages_fit_together_while_models_change(eventful, root):
    served, _ = eventful
    whole = served.get("/v1/model/history").json["entries"]
    first = served.get("/v1/model/history?limit=2")
    page = first.json
    assert first.headers["Link"] == f'<{page["next"]}>; rel="next"'
    assert page["entries"] == whole[:2]
    registry.promote(root, put_model(root, NOW + timedelta(hours=4), shift=0.5), "ana", NOW + timedelta(hours=5), "new")
    rest = served.get(page["next"]).json
    assert rest["entries"] == whole[2:]
    assert rest["next"] is None
    assert served.get(f"/v1/model/history?cursor={page['next_cursor']}").json["entries"] == whole[2:]
    assert len(served.get("/v1/model/history").json["entries"]) == 5


def test_who_decided_is_for_administrators(served):
    for who in ("reader", "writer"):
        assert_problem(served.get("/v1/model/history", who), 403, "forbidden")


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ("limit=0", "invalid_query"), ("limit=501", "invalid_query"), ("limit=x", "invalid_query"),
        ("limits=5", "invalid_query"), ("cursor=", "invalid_cursor"), ("cursor=WzBd", "invalid_cursor"),
        ("cursor=WyJhIl0", "invalid_cursor"), ("cursor=%FF", "invalid_cursor"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(served, question, code):
    assert_problem(served.get(f"/v1/model/history?{question}"), 422, code)


def test_before_the_first_promotion_it_is_empty(sqlite_store, tmp_path):
    served = serve(sqlite_store, tmp_path / "none", "")
    nothing = {"in_service": None, "next_cursor": None, "next": None, "entries": []}
    assert served.get("/v1/model/history").json == nothing
