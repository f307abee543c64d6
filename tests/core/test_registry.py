"""The artefact store: immutable, verified before it is opened, of features and a protocol this code knows."""

import doctest
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import joblib
import numpy as np
import pytest

from models.errors import ArtefactError, FeatureMismatch, NaiveTime, UnsafeArtefact
from models.health import HealthParams, health, probabilities
from models.registry import (
    Facts,
    File,
    Manifest,
    check_features,
    check_writable,
    current,
    history,
    library_versions,
    list_artefacts,
    load,
    promote,
    put,
    rollback,
    show,
    stamp,
    verify,
)
from models.registry.plain import dumps, loads
from models.scorecard import GridTerm, Scorecard, Term
from tests.core.artefacts import CARD, FACTS, NOW, PLAIN, environment, flip, same, stored, tampered


def test_an_artefact_comes_back_as_it_was_stored(tmp_path):
    model_id = stored(tmp_path)
    found = load(tmp_path, model_id)
    assert same(found.plain, PLAIN)
    manifest = found.manifest
    assert all(getattr(manifest, name) == value for name, value in vars(FACTS).items())
    assert (manifest.protocol, manifest.model_id, manifest.created_at) == (1, model_id, "2026-11-21T09:30:00Z")
    assert manifest.signature is None
    assert manifest.files["CARD.md"] == File(hashlib.sha256(CARD["CARD.md"]).hexdigest(), len(CARD["CARD.md"]))
    assert sorted(os.listdir(tmp_path / model_id)) == ["CARD.md", "manifest.json", "model.joblib"]
    assert manifest == show(tmp_path, model_id) == verify(tmp_path, model_id)


def test_the_same_content_and_moment_is_the_same_artefact(tmp_path):
    first = stored(tmp_path / "one")
    assert stored(tmp_path / "two") == first == stored(tmp_path / "two")
    for name in ("manifest.json", "model.joblib", "CARD.md"):
        assert (tmp_path / "one" / first / name).read_bytes() == (tmp_path / "two" / first / name).read_bytes()
    other = put(tmp_path / "one", {**PLAIN, "flag": False}, FACTS, NOW, CARD)
    assert other != first
    assert other[:17] == first[:17] == "20261121T093000Z-"
    assert os.listdir(tmp_path / "two") == [first]


def test_a_second_artefact_of_the_same_id_is_refused(tmp_path, monkeypatch):
    model_id = stored(tmp_path)
    monkeypatch.setattr(Manifest, "proper_id", lambda self: model_id)  # as if two hashes began alike
    with pytest.raises(ArtefactError, match="Another artefact is already stored"):
        put(tmp_path, {"other": 1}, FACTS, NOW)


def test_ids_sort_by_age(tmp_path):
    ids = [stored(tmp_path, minutes) for minutes in (50, 0, 9)]
    assert [item.model_id for item in list_artefacts(tmp_path)] == [ids[1], ids[2], ids[0]]


def test_files_may_be_paths(tmp_path):
    source = tmp_path / "fitted.joblib"
    source.write_bytes(b"whatever the estimator is")
    model_id = put(tmp_path / "store", PLAIN, FACTS, NOW, {"estimator.joblib": source, **CARD})
    assert (tmp_path / "store" / model_id / "estimator.joblib").read_bytes() == source.read_bytes()
    assert load(tmp_path / "store", model_id).plain["flag"] is True  # the estimator was hashed, not opened
    with pytest.raises(ArtefactError, match="cannot be added"):
        put(tmp_path / "store", PLAIN, FACTS, NOW, {"report.html": tmp_path / "absent.html"})


@pytest.mark.parametrize(
    "name",
    ["../CARD.md", "a/b", "/etc/passwd", "", ".", "..", ".hidden", "manifest.json", "a\0b", "a\n", "model.joblib"],
)
def test_file_names_that_lead_elsewhere_are_refused(name, tmp_path):
    with pytest.raises(ArtefactError):
        put(tmp_path, PLAIN, FACTS, NOW, {name: b"x"})
    assert list_artefacts(tmp_path) == []


@pytest.mark.parametrize(
    "model_id",
    ["..", ".", "", "../20261121T093000Z-1a2b3c4d", "/tmp", "20261121T093000Z-1A2B3C4D", "20261121T093000Z-1a2b3c4d/",
     "20261121T093000Z-1a2b3c4d\n", "current"],
)  # fmt: skip
def test_model_ids_that_are_none_are_refused(model_id, tmp_path):
    stored(tmp_path)
    for action in (show, verify, load):
        with pytest.raises(ArtefactError, match="is not a model id"):
            action(tmp_path, model_id)
    with pytest.raises(ArtefactError, match="is not a model id"):
        promote(tmp_path, model_id, "ana", NOW, "why")


def test_facts_must_be_json_and_moments_exact(tmp_path):
    for facts in (replace(FACTS, metrics={"auc": float("nan")}), replace(FACTS, metrics={"auc": np.float32(1)})):
        with pytest.raises(ArtefactError, match="JSON values"):
            put(tmp_path, PLAIN, facts, NOW)
    with pytest.raises(NaiveTime):
        put(tmp_path, PLAIN, FACTS, NOW.replace(tzinfo=None))


def test_a_store_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "store").write_text("a file where the store should be")
    with pytest.raises(ArtefactError, match="cannot be stored"):
        stored(tmp_path / "store")


def test_before_long_work_a_store_can_be_asked_whether_it_could_be_written(tmp_path):
    check_writable(tmp_path / "not" / "yet")
    check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("a file where the store should be")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ArtefactError, match="cannot be stored"):
            check_writable(root)


def test_a_missing_artefact_and_a_missing_store(tmp_path):
    with pytest.raises(ArtefactError, match="There is no artefact 20261121T093000Z-1a2b3c4d"):
        load(tmp_path / "none", "20261121T093000Z-1a2b3c4d")
    assert list_artefacts(tmp_path / "none") == []
    assert current(tmp_path / "none") is None
    assert stamp(tmp_path / "none") is None
    assert history(tmp_path / "none") == []
    with pytest.raises(ArtefactError, match="cannot be changed"):
        rollback(tmp_path / "none", "ana", NOW, "why")


def edit_manifest(directory: Path, **entries: object) -> None:
    path = directory / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def link(directory: Path, name: str) -> None:
    (directory / name).rename(directory.parent / "elsewhere")
    (directory / name).symlink_to(directory.parent / "elsewhere")


def pipe(directory: Path) -> None:
    (directory / "CARD.md").unlink()
    os.mkfifo(directory / "CARD.md")


def subdirectory(directory: Path) -> None:
    (directory / "CARD.md").unlink()
    (directory / "CARD.md").mkdir()


def resize(directory: Path) -> None:
    with (directory / "model.joblib").open("ab") as stream:
        stream.write(b"x")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (flip, "not the one its manifest was made for"),
        (resize, "bytes where the manifest says"),
        (lambda at: (at / "CARD.md").unlink(), "CARD.md of the artefact cannot be opened"),
        (lambda at: (at / "extra.py").write_text("x"), "holds 'extra.py', which its manifest does not list"),
        (lambda at: (at / "manifest.json").unlink(), "manifest.json of the artefact cannot be opened"),
        (lambda at: (at / "manifest.json").write_text("{"), "is not JSON"),
        (lambda at: (at / "manifest.json").write_text("[" * 200_000), "nested too deeply"),
        (lambda at: (at / "manifest.json").write_text("[]"), "states no protocol"),
        (lambda at: edit_manifest(at, p_ref=0.5), "was changed after"),
        (lambda at: edit_manifest(at, created_at="2027-01-01T00:00:00Z"), "was changed after"),
        (lambda at: edit_manifest(at, created_at="yesterday"), "no instant"),
        (lambda at: edit_manifest(at, model_id="20261121T093000Z-00000000"), "was changed after"),
        (lambda at: edit_manifest(at, protocol=2), "of protocol 2 and this version reads protocol 1; upgrade"),
        (lambda at: edit_manifest(at, protocol=0), "of protocol 0 .* retrain"),
        (lambda at: edit_manifest(at, protocol="1"), "states no protocol"),
        (lambda at: edit_manifest(at, protocol=True), "states no protocol"),
        (lambda at: edit_manifest(at, surprise=1), "unknown entry 'surprise'"),
        (lambda at: edit_manifest(at, seed="seven"), "'seed' .* wrong type"),
        (lambda at: edit_manifest(at, p_ref=True), "'p_ref' .* wrong type"),
        (lambda at: edit_manifest(at, files={}), "lists no model.joblib"),
        (lambda at: edit_manifest(at, files={"../x": {"sha256": "0" * 64, "size": 1}}), "file named '../x'"),
        (lambda at: edit_manifest(at, files={"model.joblib": {"sha256": "0" * 63, "size": 1}}), "SHA-256"),
        (lambda at: edit_manifest(at, files={"model.joblib": {"sha256": "0" * 64, "size": -1}}), "size"),
        (lambda at: edit_manifest(at, files={"model.joblib": {"sha256": "0" * 64}}), "not a hash and a size"),
        (lambda at: link(at, "model.joblib"), "model.joblib of the artefact cannot be opened"),
        (lambda at: link(at, "manifest.json"), "manifest.json of the artefact cannot be opened"),
        (pipe, "not a regular file"),
        (subdirectory, "not a regular file"),
    ],
)
def test_what_was_tampered_with_is_refused(change, sentence, tmp_path):
    model_id = tampered(tmp_path, change)
    for action in (verify, load):
        with pytest.raises(ArtefactError, match=sentence):
            action(tmp_path, model_id)
    with pytest.raises(ArtefactError, match=sentence):
        promote(tmp_path, model_id, "ana", NOW, "why")
    assert current(tmp_path) is None


def test_a_link_in_place_of_an_artefact_is_refused(tmp_path):
    model_id = stored(tmp_path / "elsewhere")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / model_id).symlink_to(tmp_path / "elsewhere" / model_id)
    with pytest.raises(UnsafeArtefact, match="not a directory of its own"):
        load(tmp_path / "store", model_id)


def test_an_artefact_under_another_name_is_refused(tmp_path):
    model_id = stored(tmp_path)
    (tmp_path / model_id).rename(tmp_path / "20991121T093000Z-00000000")
    with pytest.raises(UnsafeArtefact, match="was changed after"):
        load(tmp_path, "20991121T093000Z-00000000")


def test_the_list_shows_what_it_cannot_read(tmp_path):
    good = stored(tmp_path, minutes=1)
    bad = tampered(tmp_path, lambda at: edit_manifest(at, protocol=2))
    (tmp_path / ".put-unfinished").mkdir()
    (tmp_path / "notes.txt").write_text("not an artefact")
    first, second = list_artefacts(tmp_path)
    assert (first.model_id, first.manifest) == (bad, None)
    assert "protocol 2" in first.problem
    assert (second.model_id, second.manifest.status, second.problem) == (good, FACTS.status, None)


LOOP = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
import numpy as np
from models.registry import Facts, promote, put
facts = Facts("expert prior, uncalibrated", "P0", {"a": "1"}, 0.043, {})
root, moment = Path(sys.argv[1]), datetime(2026, 11, 21, tzinfo=UTC)
for i in range(100_000):
    moment += timedelta(seconds=1)
    model_id = put(root, {"values": np.full(5_000, float(i))}, facts, moment, {"report.html": b"x" * 200_000})
    promote(root, model_id, "loop", moment, "test")
    print(model_id, flush=True)
"""


def test_kill_9_leaves_whole_artefacts_and_a_pointer_that_works(tmp_path):
    rng = random.Random(5)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", LOOP, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment()
        )
        acknowledged = process.stdout.readline().strip()
        time.sleep(rng.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        acknowledged = (process.stdout.read().split() or [acknowledged])[-1]
        process.wait()
        process.stdout.close()
        for item in list_artefacts(tmp_path):
            verify(tmp_path, item.model_id)
        served = current(tmp_path)
        load(tmp_path, served.model_id)
        assert served.model_id >= acknowledged
        changes = history(tmp_path)
        assert [change.number for change in changes] == list(range(1, len(changes) + 1))
        assert changes[-1] == served


# --- features and versions --------------------------------------------------------------------------------


def test_the_same_features_are_accepted(tmp_path):
    manifest = show(tmp_path, stored(tmp_path))
    check_features(manifest, list(FACTS.features), FACTS.features)
    check_features(manifest, sorted(FACTS.features, reverse=True), FACTS.features)


def test_other_features_are_refused_with_their_names(tmp_path):
    manifest = show(tmp_path, stored(tmp_path))
    here = {"csat": "changed", "tenure": "3d", "nps": "4c"}
    with pytest.raises(FeatureMismatch) as refusal:
        check_features(manifest, list(here), here)
    assert "missing here: crr_90d; new here: nps; defined differently: csat" in str(refusal.value)
    assert manifest.model_id in str(refusal.value)
    for changed in ({"crr_90d": "x"}, {"nps": "4c"}):
        with pytest.raises(FeatureMismatch):
            check_features(manifest, [*FACTS.features, *changed], {**FACTS.features, **changed})
    with pytest.raises(FeatureMismatch, match="missing here: tenure"):
        check_features(manifest, ["crr_90d", "csat"], FACTS.features)


def test_library_versions_are_those_installed():
    assert library_versions("numpy", "joblib") == {
        "python": ".".join(map(str, sys.version_info[:3])),
        "numpy": np.__version__,
        "joblib": joblib.__version__,
    }


# --- protocol 1 -------------------------------------------------------------------------------------------

KEPT = Path(__file__).parents[1] / "data" / "artefact_protocol_1"


def handmade() -> tuple[dict, Facts, datetime]:
    """The model the kept artefact was made of."""
    churn = Scorecard(
        "churn",
        -3.25,
        (
            Term("days_to_renewal", "steps", (30, 90), (), (1.5, 0.5, -0.25), missing=0.125),
            Term("csat_level", "line", (2, 3.5, 5), (), (0.75, 0.1, -0.4), missing=0.05),
            Term("billing", "category", (), ("annual", "monthly"), (-0.1, 0.4), missing=0.02, unseen=0.03),
        ),
        (GridTerm(("billing", "crr_90d"), (("annual",), (0.2,)), ((0.0, 0.3, 0.1), (0.2, 0.6, 0.1), (0.1, 0.4, 0.0))),),
    )
    silent = Scorecard(
        "silent",
        -3.9,
        (
            Term(
                "contact_drop_90d",
                "line",
                (-2, 0, 2),
                (),
                (0.9, 0.0, -0.3),
                0.1,
                replicates=((1, 0, 0, 0), (0, 1, 0, 0)),
            ),
        ),
        (),
        (-3.8, -4.0),
    )
    params = HealthParams.for_base(churn.base)
    names = ("days_to_renewal", "csat_level", "billing", "crr_90d", "contact_drop_90d")
    facts = Facts(
        status="handmade, for the tests",
        phase="P0",
        features={name: f"{i:064x}" for i, name in enumerate(names)},
        p_ref=params.p_ref,
        label={"look_back_days": 90, "blackout_days": 14, "horizon_days": 90},
        versions={"python": "3.11.2", "numpy": "2.4.6", "joblib": "1.6.0"},
    )
    plain = {"churn": churn.to_plain(), "silent": silent.to_plain(), "health": params.to_plain()}
    return plain, facts, datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


ACCOUNTS = {
    "days_to_renewal": np.array([10.0, 30.0, 200.0, np.nan]),
    "csat_level": np.array([1.0, 3.0, 4.2, np.nan]),
    "billing": np.array(["annual", "monthly", "weekly", None], dtype=object),
    "crr_90d": np.array([0.1, 0.2, np.nan, 0.5]),
    "contact_drop_90d": np.array([-1.5, 0.0, 3.0, np.nan]),
}


def scored(plain: dict) -> dict[str, list[float]]:
    churn, silent = (Scorecard.from_plain(plain[name]) for name in ("churn", "silent"))
    found = probabilities(churn.log_odds(ACCOUNTS), silent.log_odds(ACCOUNTS))
    return {
        "p_churn": found.p_churn.tolist(),
        "p_silent": found.p_silent.tolist(),
        "health": health(churn.log_odds(ACCOUNTS), HealthParams.from_plain(plain["health"])).tolist(),
        "standard_error_silent": silent.standard_errors(ACCOUNTS).tolist(),
    }


def test_an_artefact_of_protocol_1_still_loads_and_scores_the_same():
    (entry,) = list_artefacts(KEPT)
    artefact = load(KEPT, entry.model_id)
    assert artefact.manifest.status == "handmade, for the tests"
    expected = json.loads((KEPT / "expected.json").read_text())
    found = scored(artefact.plain)
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-12), name


def test_the_kept_artefact_is_what_this_code_would_write(tmp_path):
    """While protocol 1 is current; a library that pickles arrays otherwise may change the bytes, not the model."""
    plain, facts, created_at = handmade()
    (entry,) = list_artefacts(KEPT)
    assert same(load(KEPT, entry.model_id).plain, loads(dumps(plain)))
    if facts.versions["joblib"] == joblib.__version__ and facts.versions["numpy"] == np.__version__:
        card = (KEPT / entry.model_id / "CARD.md").read_bytes()
        assert put(tmp_path, plain, facts, created_at, {"CARD.md": card}) == entry.model_id


def test_the_examples_of_the_documentation(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "artefacts.md"
    found = doctest.testfile(str(page), module_relative=False, globs={"root": tmp_path}, encoding="utf-8")
    assert found.failed == 0
    assert found.attempted > 10


def test_the_documentation_names_every_entry_of_the_manifest():
    page = (Path(__file__).parents[2] / "docs" / "artefacts.md").read_text(encoding="utf-8")
    assert [item.name for item in fields(Manifest) if f"`{item.name}`" not in page] == []
