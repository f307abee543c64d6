"""Public data sets that are read where they are, never copied: tests without them are skipped and say so."""

import os
from pathlib import Path

import pytest


def shared_data(folder: str) -> Path:
    """The folder of a public data set; skips the test where it is not at hand."""
    named = os.environ.get("EBBTIDE_SHARED_DATA")
    root = Path(named) if named else Path(__file__).parents[3] / "shared" / "data"
    if not (root / folder).is_dir():
        pytest.skip(f"{folder} is not at hand; EBBTIDE_SHARED_DATA names the folder that holds it")
    return root / folder
