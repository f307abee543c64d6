"""An account's features as one blob, exactly.

    numbers  health  contacts_90d  tenure     blob: 3 x 8 bytes, little-endian float64, unknown as zero bits
             51.5    unknown       7.0              + 1 byte, bit i set where number i is known (0b101)
    texts    segment = "smb"                        + ["smb"] as JSON

The bits are kept, not the value: negative zero and every NaN come back as they were, and unknown is told apart
from NaN. What the numbers are called is said once per layout, not once per row.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import polars as pl

_NUMBER = np.dtype("<f8")


@dataclass(frozen=True)
class Layout:
    """The names of a blob's numbers and texts, in order."""

    numbers: tuple[str, ...]
    texts: tuple[str, ...]

    @classmethod
    def of(cls, features: pl.DataFrame) -> "Layout":
        """The layout of a feature frame: numeric and boolean columns are numbers, the others texts."""
        kept = [(name, dtype) for name, dtype in features.schema.items() if name not in ("account_id", "as_of")]
        texts = tuple(name for name, dtype in kept if dtype == pl.String)
        return cls(tuple(name for name, _ in kept if name not in texts), texts)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Layout":
        return cls(tuple(plain["numbers"]), tuple(plain["texts"]))

    def to_plain(self) -> dict[str, list[str]]:
        """As lists, fit for JSON."""
        return {"numbers": list(self.numbers), "texts": list(self.texts)}

    @property
    def layout_id(self) -> str:
        """The same for the same names in the same order, and for no others."""
        return sha256(json.dumps([self.numbers, self.texts]).encode()).hexdigest()[:16]


def encode(features: pl.DataFrame, layout: Layout) -> pl.Series:
    """One blob per row of the frame."""
    numbers = features.select(pl.col(name).cast(pl.Float64) for name in layout.numbers)
    values = np.empty((features.height, len(layout.numbers)), dtype=_NUMBER)
    known = np.empty(values.shape, dtype=bool)
    for i, column in enumerate(numbers.iter_columns()):
        values[:, i] = column.fill_null(0.0).to_numpy()
        known[:, i] = column.is_not_null().to_numpy()
    fixed = np.hstack([values.view(np.uint8), np.packbits(known, axis=1, bitorder="little")])
    width, packed = fixed.shape[1], fixed.tobytes()
    tails = _texts(features.select(layout.texts), features.height)
    blobs = [packed[i * width : (i + 1) * width] + tail for i, tail in enumerate(tails)]
    return pl.Series("features", blobs, dtype=pl.Binary)


def _texts(texts: pl.DataFrame, height: int) -> list[bytes]:
    """The texts of every row as JSON, written once per combination: there are few."""
    if not texts.width:
        return [b"[]"] * height
    written: dict[tuple[str | None, ...], bytes] = {}
    rows = texts.rows()
    for row in rows:
        if row not in written:
            written[row] = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()
    return [written[row] for row in rows]


def decode(blob: bytes, layout: Layout) -> dict[str, float | str | None]:
    """Name -> number (None: unknown) or text."""
    n = len(layout.numbers)
    end = n * _NUMBER.itemsize + (n + 7) // 8
    values = np.frombuffer(blob, _NUMBER, count=n).tolist()
    bits = np.frombuffer(blob[n * _NUMBER.itemsize : end], np.uint8)
    known = np.unpackbits(bits, count=n, bitorder="little").tolist()
    numbers = {name: value if there else None for name, value, there in zip(layout.numbers, values, known, strict=True)}
    return numbers | dict(zip(layout.texts, json.loads(blob[end:]), strict=True))


def decode_frame(blobs: pl.Series, layout: Layout) -> pl.DataFrame:
    """The columns that went into `encode`: numbers as Float64, texts as String."""
    n = len(layout.numbers)
    width = n * _NUMBER.itemsize + (n + 7) // 8
    rows = blobs.to_list()
    fixed = np.frombuffer(b"".join(blob[:width] for blob in rows), np.uint8).reshape(len(rows), width)
    values = np.ascontiguousarray(fixed[:, : n * _NUMBER.itemsize]).view(_NUMBER).reshape(len(rows), n)
    known = np.unpackbits(fixed[:, n * _NUMBER.itemsize :], axis=1, count=n, bitorder="little").astype(bool)
    numbers = [
        pl.Series(name, values[:, i]).set(pl.Series(~known[:, i]), None) for i, name in enumerate(layout.numbers)
    ]
    texts = list(zip(*(json.loads(blob[width:]) for blob in rows), strict=True)) or [()] * len(layout.texts)
    named = zip(layout.texts, texts, strict=True)
    return pl.DataFrame([*numbers, *(pl.Series(name, column, pl.String) for name, column in named)])
