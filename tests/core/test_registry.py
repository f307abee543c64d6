"""The artefact store: immutable, verified before it is opened, and unable to run what it holds."""

import builtins
import doctest
import hashlib
import io
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from models.errors import ArtefactError, FeatureMismatch, NaiveTime, UnsafeArtefact
from models.health import HealthParams, health, probabilities
from models.registry import (
    Facts,
    File,
    Manifest,
    check_features,
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

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
PLAIN = {"churn": {"base": -3.0, "values": np.array([0.5, -0.5])}, "names": ["a", "b"], "flag": True, "none": None}
FACTS = Facts(
    status="expert prior, uncalibrated",
    phase="P0",
    features={"crr_90d": "1f", "csat": "2e", "tenure": "3d"},
    p_ref=0.043,
    label={"look_back_days": 90},
    data_range=("2024-01-01T00:00:00Z", "2026-11-01T00:00:00Z"),
    thresholds={"list": "maximum recall @ precision >= 0.3"},
    metrics={"auc_silent": [0.79, 0.75, 0.83]},
    versions={"numpy": "2.4.6"},
    seed=7,
    git_revision="1a2b3c4",
)
CARD = {"CARD.md": b"# A model\n"}


def stored(root: Path, minutes: int = 0) -> str:
    return put(root, PLAIN, FACTS, NOW + timedelta(minutes=minutes), CARD)


def forged(root: Path, content: bytes) -> str:
    """An artefact around a model file of the attacker's choice: every hash and the id match."""
    manifest = Manifest.of(FACTS, NOW, {"model.joblib": File.of(content)})
    directory = root / manifest.model_id
    directory.mkdir(parents=True)
    (directory / "model.joblib").write_bytes(content)
    (directory / "manifest.json").write_bytes(manifest.to_json())
    verify(root, manifest.model_id)
    return manifest.model_id


def same(a: object, b: object) -> bool:
    """Equal values of equal types, arrays included, NaN equal to itself."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)


# --- plain values -----------------------------------------------------------------------------------------

arrays = st.one_of(
    npst.arrays(np.float64, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)),
    npst.arrays(np.int64, npst.array_shapes(max_dims=2, max_side=4)),
    npst.arrays(np.bool_, npst.array_shapes(max_dims=2, max_side=4)),
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5), max_size=4).map(
        lambda texts: np.array(texts, dtype="U5")
    ),
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
plains = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        scalars | arrays,
        lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
        max_leaves=12,
    ),
)


@settings(deadline=None)
@given(plains)
def test_plain_values_survive_and_give_the_same_bytes_again(plain):
    content = dumps(plain)
    found = loads(content)
    assert same(found, plain)
    assert dumps(found) == content
    assert same(joblib.load(io.BytesIO(content)), plain)


def test_the_bytes_depend_on_values_not_on_which_objects_are_shared():
    name = "".join(["sha", "red"])
    array, rows = np.arange(3.0), [1.5, 2.5]
    sharing = {"a": name, "b": name, "c": array, "d": array, "e": rows, "f": rows, "g": {"shape": "shared"}}
    apart = {
        "a": "".join(["share", "d"]),
        "b": "".join(["s", "hared"]),
        "c": np.arange(3.0),
        "d": np.array([[0.0, 9.0], [1.0, 9.0], [2.0, 9.0]])[:, 0].astype(np.dtype("<f8").newbyteorder("=")),
        "e": [1.5, 2.5],
        "f": [1.5, 2.5],
        "g": {"".join(["sh", "ape"]): name},
    }
    assert dumps(sharing) == dumps(apart)


def test_the_bytes_are_the_same_in_another_process():
    code = (
        "import sys, numpy as np; from models.registry.plain import dumps; "
        "sys.stdout.buffer.write(dumps({'b': np.arange(4.0), 'a': ['x', 'y', 'x'], 's': np.array(['u', 'vw'])}))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment(seed)).stdout
        for seed in "12"
    ]
    assert runs[0] == runs[1] == dumps({"b": np.arange(4.0), "a": ["x", "y", "x"], "s": np.array(["u", "vw"])})


def environment(hash_seed: str = "0") -> dict[str, str]:
    return {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parents[2])}


def test_arrays_come_back_read_only():
    with pytest.raises(ValueError, match="read-only"):
        loads(dumps({"a": np.arange(3.0)}))["a"][0] = 9.0


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (np.float64(1), r"model\.x"),
        ({1: 2}, "has the key 1"),
        ({"deep": [0, {1, 2}]}, r"model\.x\.deep\[1\] is of type set"),
        (b"bytes", "type bytes"),
        (np.array([None]), "ndarray"),
        (np.zeros(2, np.float32), "ndarray"),
        (np.zeros(2, "M8[us]"), "ndarray"),
        (np.ma.array([1.0]), "MaskedArray"),
        (NOW, "datetime"),
        (HealthParams(p_ref=0.04), "HealthParams"),
    ],
)
def test_what_is_not_plain_is_not_written(value, place):
    with pytest.raises(ArtefactError, match=place):
        dumps({"x": value})


def test_endless_nesting_is_neither_written_nor_read():
    nested: list = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(ArtefactError, match="nested deeper"):
        dumps({"x": nested})
    content = b"\x80\x04}\x8c\x01x" + b"]" * 100_000 + b"a" * 99_999 + b"s."
    assert len(pickle.loads(content)["x"]) == 1
    with pytest.raises(UnsafeArtefact):
        loads(content)


# --- hostile files ----------------------------------------------------------------------------------------


class Calls:
    """Pickles as a call of a function; unpickling it makes the call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


class Sets(Calls):
    """As `Calls`, then with a state, which unpickling applies."""

    def __reduce__(self) -> tuple:
        return (*self.call, {"shape": 1})


def joblib_file(value: object, **options: object) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(value, buffer, **options)
    return buffer.getvalue()


def text4(text: str) -> bytes:
    """The operand of the instruction for a text."""
    return b"X" + len(text).to_bytes(4, "little") + text.encode()


def beside(marker: Path, content: bytes, suffix: str) -> str:
    path = marker.with_suffix(suffix)
    path.write_bytes(content)
    return str(path)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def touch(marker: Path) -> Calls:
    return Calls(os.system, f"touch {marker}")


def code(marker: Path) -> str:
    return f"open({str(marker)!r}, 'w').close()"


def objects(marker: Path) -> np.ndarray:
    return np.array([touch(marker)], dtype=object)


def record(marker: Path) -> np.ndarray:
    return np.array([(touch(marker), 1.0)], dtype=[("a", object), ("b", np.float64)])


#: Files that create the marker when `joblib.load` opens them.
HOSTILE = {
    "os.system": lambda marker: joblib_file({"x": touch(marker)}),
    "builtins.eval": lambda marker: joblib_file({"x": Calls(builtins.eval, code(marker))}),
    "builtins.exec": lambda marker: joblib_file({"x": Calls(builtins.exec, code(marker))}),
    "as a key": lambda marker: joblib_file({touch(marker): 1}),
    "the whole file": lambda marker: joblib_file(touch(marker)),
    "subprocess": lambda marker: joblib_file({"x": Calls(subprocess.call, ["touch", str(marker)])}),
    "array of objects": lambda marker: joblib_file({"x": objects(marker)}),
    "record array": lambda marker: joblib_file({"x": record(marker)}),
    "nested pickle": lambda marker: joblib_file({"x": Calls(pickle.loads, pickle.dumps(touch(marker)))}),
    "joblib inside": lambda marker: joblib_file(
        {"x": Calls(joblib.load, beside(marker, joblib_file(touch(marker)), ".joblib"))}
    ),
    "numpy inside": lambda marker: joblib_file(
        {"x": Calls(np.load, beside(marker, npy(objects(marker)), ".npy"), None, True)}
    ),
    "after a good array": lambda marker: joblib_file({"x": np.arange(3.0), "y": touch(marker)}),
    "protocol 0": lambda marker: pickle.dumps({"x": touch(marker)}, protocol=0),
    "protocol 2": lambda marker: pickle.dumps({"x": touch(marker)}, protocol=2),
    "protocol 5": lambda marker: pickle.dumps({"x": touch(marker)}, protocol=5),
    "zlib": lambda marker: joblib_file({"x": touch(marker)}, compress=("zlib", 3)),
    "gzip": lambda marker: joblib_file({"x": touch(marker)}, compress=("gzip", 3)),
    "bz2": lambda marker: joblib_file({"x": touch(marker)}, compress=("bz2", 3)),
    "lzma": lambda marker: joblib_file({"x": touch(marker)}, compress=("lzma", 3)),
    "xz": lambda marker: joblib_file({"x": touch(marker)}, compress=("xz", 3)),
    "INST": lambda marker: b"\x80\x04}\x8c\x01x(" + text4(f"touch {marker}") + b"ios\nsystem\ns.",
    "GLOBAL": lambda marker: b"\x80\x04}\x8c\x01xcos\nsystem\n" + text4(f"touch {marker}") + b"\x85Rs.",
    "OBJ": lambda marker: b"\x80\x04}\x8c\x01x(cos\nsystem\n" + text4(f"touch {marker}") + b"os.",
}


@pytest.mark.parametrize("build", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_model_file_with_matching_hashes_runs_nothing(build, tmp_path):
    marker = tmp_path / "executed"
    content = build(marker)
    model_id = forged(tmp_path / "store", content)
    with pytest.raises(UnsafeArtefact):
        load(tmp_path / "store", model_id)
    assert not marker.exists()
    # The same bytes do run in a common unpickler, or the test would prove nothing.
    joblib.load(tmp_path / "store" / model_id / "model.joblib")
    assert marker.exists()


GOOD = dumps({"x": np.arange(3.0)})
UNFRAMED = GOOD[:2] + GOOD[11:]  # a frame states its length, which an alteration would change


def altered(old: bytes, new: bytes, content: bytes = GOOD) -> bytes:
    assert content.count(old) == 1
    return content.replace(old, new)


def plain_pickle(body: bytes) -> bytes:
    return b"\x80\x04}\x8c\x01x" + body + b"s."


NDARRAY = b"\x8c\x05numpy\x8c\x07ndarray\x93"
WRAPPER = b"\x8c\x13joblib.numpy_pickle\x8c\x11NumpyArrayWrapper\x93"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not an uncompressed joblib file"),
        (zlib.compress(GOOD), "not an uncompressed joblib file"),
        (GOOD + b"x", "goes on after its end"),
        (GOOD[:-1], "damaged"),
        (GOOD[:-9], "ends within an array"),
        (GOOD[:60], "damaged"),
        (altered(b"\x8c\x02f8", b"\x8c\x02O8"), "type 'O8'"),
        (altered(b"\x8c\x02f8", b"\x8c\x02V8"), "type 'V8'"),
        (altered(b"\x8c\x02f8", b"\x8c\x02f4"), "type 'f4'"),
        (altered(b"\x8c\x02f8", b"\x8c\x02M8"), "type 'M8'"),
        (altered(b"\x8c\x02f8", b"\x8c\x02U8"), "type 'U8'"),
        (altered(b"\x8c\x01<", b"\x8c\x01>"), "type 'f8'"),
        (altered(b"\x8c\x01C", b"\x8c\x01F"), "unknown kind"),
        (altered(b"K\x10ub", b"K\x20ub"), "unknown kind"),
        (altered(b"K\x03\x85", b"K\xff\x85"), "ends within an array"),
        (altered(b"K\x03\x85", b"J\xff\xff\xff\x7f\x85", UNFRAMED), "ends within an array"),
        (altered(b"K\x03\x85", b"J\xff\xff\xff\xff\x85", UNFRAMED), "impossible shape"),
        (altered(b"K\x03\x85", b"\x8a\x09" + b"\xff" * 8 + b"\x00\x85", UNFRAMED), "impossible shape"),
        (altered(b"K\x03\x85", b"K\x00" + b"\x8a\x06" + b"\x00" * 5 + b"\x01\x86", UNFRAMED), "impossible shape"),
        (altered(b"\x8c\x07ndarray", b"\x8c\x07recarra"), "asks for 'numpy.recarra'"),
        (altered(b"\x8c\x11NumpyArrayWrapper", b"\x8c\x0fZNDArrayWrapper", UNFRAMED), "ZNDArrayWrapper"),
        (altered(b"\x8c\x08subclass", b"\x8c\x08subclasz"), "unknown way"),
        (dumps({"x": np.array([True, False])}).replace(b"\x01\x00s.", b"\x07\x00s."), "impossible values"),
        (dumps({"x": np.array(["a"])}).replace(b"a\x00\x00\x00s.", b"\xff\xff\xff\xffs."), "impossible values"),
        (plain_pickle(NDARRAY), "type _Name"),
        (plain_pickle(WRAPPER + b")\x81"), "type _Wrapper"),
        (plain_pickle(NDARRAY + b")\x81"), "not an array"),
        (plain_pickle(WRAPPER + b"K\x01\x85\x81"), "not an array"),
        (plain_pickle(NDARRAY + b"K\x09\x85R"), "calls something"),
        (plain_pickle(WRAPPER + b"}\x8c\x04readK\x01sb"), "attributes to a plain value"),
        (plain_pickle(b"]}\x8c\x06appendK\x01sb"), "attributes to a plain value"),
        (plain_pickle(b"C\x01b"), "instruction b'C'"),
        (plain_pickle(b"\x8f"), "instruction"),
        (plain_pickle(b"PK1\n"), "instruction b'P'"),
        (plain_pickle(b"\x82\x01"), "instruction"),
        (plain_pickle(b"K\x01Q"), "instruction b'Q'"),
        (plain_pickle(b"}K\x01K\x02s"), "keys are not texts"),
        (plain_pickle(b"](]\x94h\x00e"), "type list"),
        (plain_pickle(b"]\x94h\x00a"), "type list"),
        (b"\x80\x04].", "does not hold a dict"),
    ],
)
def test_a_model_file_that_is_not_plain_is_refused(content, sentence):
    with pytest.raises(UnsafeArtefact, match=sentence):
        loads(content)


@settings(deadline=None, max_examples=300)
@given(st.integers(2, len(GOOD) - 1), st.integers(0, 255), st.integers(0, 3))
def test_any_damaged_byte_gives_plain_values_or_a_refusal(place, byte, cut):
    content = GOOD[:place] + bytes([byte]) + GOOD[place + 1 : len(GOOD) - cut]
    try:
        found = loads(content)
    except UnsafeArtefact:
        return
    dumps(found)


# --- the store --------------------------------------------------------------------------------------------


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


def test_a_missing_artefact_and_a_missing_store(tmp_path):
    with pytest.raises(ArtefactError, match="There is no artefact 20261121T093000Z-1a2b3c4d"):
        load(tmp_path / "none", "20261121T093000Z-1a2b3c4d")
    assert list_artefacts(tmp_path / "none") == []
    assert current(tmp_path / "none") is None
    assert stamp(tmp_path / "none") is None
    assert history(tmp_path / "none") == []
    with pytest.raises(ArtefactError, match="cannot be changed"):
        rollback(tmp_path / "none", "ana", NOW, "why")


def tampered(root: Path, change) -> str:
    model_id = stored(root)
    directory = root / model_id
    for path in directory.iterdir():
        path.chmod(0o644)
    change(directory)
    return model_id


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


def flip(directory: Path) -> None:
    content = bytearray((directory / "model.joblib").read_bytes())
    content[-3] ^= 1
    (directory / "model.joblib").write_bytes(content)


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


# --- the model in service ---------------------------------------------------------------------------------


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
