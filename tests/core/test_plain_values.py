"""What a model file may hold, and that a hostile one runs nothing."""

import builtins
import io
import os
import pickle
import subprocess
import sys
import zlib
from pathlib import Path

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from models.errors import ArtefactError, UnsafeArtefact
from models.health import HealthParams
from models.registry import (
    load,
)
from models.registry.plain import dumps, loads
from tests.core.artefacts import NOW, environment, forged, same

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
