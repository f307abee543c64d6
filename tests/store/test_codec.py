"""Features survive their blob bit for bit, whatever the bits."""

import struct

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.store.codec import Layout, decode, decode_frame, encode

NUMBER = st.none() | st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0])
TEXT = st.none() | st.text(max_size=6)


def bits(value: object) -> object:
    return struct.pack("<d", value) if isinstance(value, float) else value


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    numbers, texts, height = draw(st.integers(0, 18)), draw(st.integers(0, 3)), draw(st.integers(0, 5))
    columns: dict[str, pl.Series] = {"account_id": pl.Series([str(i) for i in range(height)], dtype=pl.String)}
    for i in range(numbers):
        columns[f"n{i}"] = pl.Series(draw(st.lists(NUMBER, min_size=height, max_size=height)), dtype=pl.Float64)
    for i in range(texts):
        columns[f"t{i}"] = pl.Series(draw(st.lists(TEXT, min_size=height, max_size=height)), dtype=pl.String)
    return pl.DataFrame(columns)


@given(frame=frames())
def test_bits_come_back(frame: pl.DataFrame) -> None:
    layout = Layout.of(frame)
    blobs = encode(frame, layout)
    expected = [{name: bits(value) for name, value in row.items() if name != "account_id"} for row in frame.to_dicts()]
    assert [{name: bits(v) for name, v in decode(blob, layout).items()} for blob in blobs] == expected
    back = decode_frame(blobs, layout)
    if back.width:  # without columns Polars does not count rows
        assert [{name: bits(v) for name, v in row.items()} for row in back.to_dicts()] == expected


def test_unknown_is_neither_nan_nor_zero() -> None:
    frame = pl.DataFrame({"a": [None, float("nan"), 0.0, -0.0]})
    found = [decode(blob, Layout.of(frame))["a"] for blob in encode(frame, Layout.of(frame))]
    assert [str(value) for value in found] == ["None", "nan", "0.0", "-0.0"]


def test_the_worked_example() -> None:
    frame = pl.DataFrame({"health": [51.5], "contacts_90d": [None], "tenure": [7.0], "segment": ["smb"]})
    frame = frame.cast({"contacts_90d": pl.Float64})
    (blob,) = encode(frame, Layout.of(frame))
    assert blob == struct.pack("<3d", 51.5, 0.0, 7.0) + bytes([0b101]) + b'["smb"]'


def test_whole_and_true_are_numbers() -> None:
    frame = pl.DataFrame({"account_id": ["a"], "contacts": [3], "annual": [True], "segment": ["smb"]})
    layout = Layout.of(frame)
    assert layout == Layout(("contacts", "annual"), ("segment",))
    assert decode(encode(frame, layout)[0], layout) == {"contacts": 3.0, "annual": 1.0, "segment": "smb"}


@pytest.mark.parametrize("other", [Layout(("b", "a"), ()), Layout(("a",), ("b",)), Layout(("ab",), ()), Layout((), ())])
def test_other_names_are_another_layout(other: Layout) -> None:
    layout = Layout(("a", "b"), ())
    assert layout.layout_id != other.layout_id
    assert Layout.from_plain(layout.to_plain()) == layout
