"""The model in service changes under the application: noticed, swapped, and never by a bad one."""

import shutil
from datetime import timedelta

import pytest

from api.serving import KEEP_MODELS, Serving
from models.errors import ArtefactError
from models.registry import Trust, create_key, rollback, sign
from tests.http.cast import NOW, promote, put_model
from tests.http.conftest import serve


@pytest.fixture
def root(model_store, tmp_path):
    copy = tmp_path / "artefacts"
    shutil.copytree(model_store[0], copy)
    return copy


@pytest.fixture
def events():
    return []


@pytest.fixture
def serving(root, events, monkeypatch):
    monkeypatch.setattr("api.serving.LOOK_SECONDS", 0.0)
    return Serving(root, lambda result, model_id: events.append((result, model_id)))


def damage(root, model_id):
    file = root / model_id / "model.joblib"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1] + b"x")


def test_a_promotion_is_noticed(serving, root, model_store, events):
    assert serving.current().model.model_id == model_store[1]
    second = put_model(root, NOW + timedelta(hours=1), shift=0.5)
    promote(root, second, NOW + timedelta(hours=1))
    assert serving.current().model.model_id == second
    rollback(root, who="test", when=NOW + timedelta(hours=2), why="worse")
    assert serving.current().model.model_id == model_store[1]
    assert events == [("loaded", model_store[1]), ("loaded", second), ("loaded", model_store[1])]


def test_an_unsigned_artefact_is_refused_until_somebody_vouches_for_it(
    root, model_store, events, tmp_path, monkeypatch
):
    monkeypatch.setattr("api.serving.LOOK_SECONDS", 0.0)
    key = create_key(tmp_path / "key.pem")
    trust = Trust.of([key.public], required=True)
    serving = Serving(root, lambda result, model_id: events.append((result, model_id)), trust)
    for _ in range(2):
        with pytest.raises(ArtefactError, match="EBBTIDE_REQUIRE_SIGNED is set: unsigned"):
            serving.current()
    sign(root, model_store[1], key)
    assert serving.current().model.model_id == model_store[1]
    second = put_model(root, NOW + timedelta(hours=1), shift=0.5)
    promote(root, second, NOW + timedelta(hours=1))
    assert serving.current().model.model_id == model_store[1]
    assert serving.by_id(second) is None, "nor is it opened to explain older scores"
    assert events == [("refused", model_store[1]), ("loaded", model_store[1]), ("refused", second)]


def test_the_application_asks_for_signatures_as_its_settings_say(sqlite_store, root, model_store, tmp_path):
    key = create_key(tmp_path / "key.pem")
    served = serve(sqlite_store, root, model_store[1], verify_keys=(key.public,), require_signed=True)
    refused = served.get("/v1/model")
    assert (refused.status_code, refused.json["code"]) == (503, "model_unavailable")
    assert served.client.get("/readyz").status_code == 503
    sign(root, model_store[1], key)
    served = serve(sqlite_store, root, model_store[1], verify_keys=(key.public,), require_signed=True)
    assert served.get("/v1/model").json["id"] == model_store[1]


def test_a_bad_artefact_is_refused_and_the_old_one_stays(serving, root, model_store, events, capsys):
    serving.current()
    second = put_model(root, NOW + timedelta(hours=1), shift=0.5)
    promote(root, second, NOW + timedelta(hours=1))
    damage(root, second)
    for _ in range(3):
        assert serving.current().model.model_id == model_store[1]
    assert events == [("loaded", model_store[1]), ("refused", second)], "refused once, not at every request"
    assert "model_refused" in capsys.readouterr().out
    third = put_model(root, NOW + timedelta(hours=2), shift=0.7)
    promote(root, third, NOW + timedelta(hours=2))
    assert serving.current().model.model_id == third


def test_one_of_other_features_is_refused(serving, root, monkeypatch, events):
    serving.current()
    second = put_model(root, NOW + timedelta(hours=1), shift=0.5)
    promote(root, second, NOW + timedelta(hours=1))
    monkeypatch.setattr("models.registry.check_features", _mismatch)
    serving.current()
    assert events[-1] == ("refused", second)


def _mismatch(*args):
    from models.errors import FeatureMismatch

    raise FeatureMismatch("other features")


def test_nothing_in_service(tmp_path, monkeypatch):
    monkeypatch.setattr("api.serving.LOOK_SECONDS", 0.0)
    serving = Serving(tmp_path / "none", lambda result, model_id: None)
    with pytest.raises(ArtefactError, match="No model has been put in service"):
        serving.current()
    model_id = put_model(tmp_path / "none", NOW)
    promote(tmp_path / "none", model_id, NOW)
    assert serving.current().model.model_id == model_id


def test_older_models_by_id(serving, root, model_store):
    ids = [model_store[1]]
    for n in range(1, KEEP_MODELS + 3):
        model_id = put_model(root, NOW + timedelta(hours=n), shift=n / 10)
        promote(root, model_id, NOW + timedelta(hours=n))
        assert serving.current().model.model_id == model_id
        ids.append(model_id)
    for model_id in ids:
        assert serving.by_id(model_id).model.model_id == model_id
    assert len(serving._kept) <= KEEP_MODELS
    assert serving.by_id("20200101T000000Z-00000000") is None


def test_the_pointer_is_looked_at_once_a_second(root, monkeypatch):
    looks = []
    real = __import__("models.registry", fromlist=["stamp"]).stamp
    monkeypatch.setattr("models.registry.stamp", lambda folder: looks.append(1) or real(folder))
    serving = Serving(root, lambda result, model_id: None)
    for _ in range(100):
        serving.current()
    assert len(looks) == 1


def test_stored_scores_keep_their_own_model_after_a_swap(told, root, monkeypatch):
    from tests.http.conftest import serve

    monkeypatch.setattr("api.serving.LOOK_SECONDS", 0.0)
    served = serve(told.engine, root, told.model_id)
    before = served.get("/v1/accounts/slipping/health").json
    second = put_model(root, NOW + timedelta(hours=1), shift=0.5)
    promote(root, second, NOW + timedelta(hours=1))
    assert served.get("/v1/model").json["id"] == second
    assert served.get("/v1/accounts/slipping/health").json == before
    rescored = served.post("/v1/scores", {"items": [{"account_id": "slipping"}]}).json
    assert rescored["model"]["id"] == second
    assert rescored["results"][0]["score"]["p_churn"] > before["p_churn"]
