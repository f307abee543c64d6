"""Files as an artefact store needs them: read without following links, written so that a crash shows nothing.

A directory becomes visible by one rename of a finished, synced one; a file by one replacement.
"""

import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from shutil import rmtree

from models.errors import ArtefactError, UnsafeArtefact


@contextmanager
def opened_directory(path: Path) -> Iterator[int]:
    """A descriptor of the directory, for `read_within`. Raises `ArtefactError` where there is none."""
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        raise ArtefactError(f"There is no artefact {path.name} in {path.parent}.") from error
    except OSError as error:
        raise UnsafeArtefact(f"The artefact {path.name} is not a directory of its own: {error.strerror}.") from error
    try:
        yield directory
    finally:
        os.close(directory)


def read_within(directory: int, name: str, size: int | None = None, at_most: int | None = None) -> bytes:
    """The content of a regular file in an opened directory; links and devices are refused.

    `size`: what it must be. `at_most`: a limit where the size is not known. Raises `UnsafeArtefact`.
    """
    try:
        # Not blocking: opening a named pipe would wait for a writer for ever.
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except OSError as error:
        raise UnsafeArtefact(f"The file {name} of the artefact cannot be opened: {error.strerror}.") from error
    try:
        _check_status(os.fstat(file), name, size, at_most)
        with os.fdopen(file, "rb", closefd=False) as stream:
            return stream.read()
    finally:
        os.close(file)


def _check_status(status: os.stat_result, name: str, size: int | None, at_most: int | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnsafeArtefact(f"The file {name} of the artefact is not a regular file.")
    if size is not None and status.st_size != size:
        raise UnsafeArtefact(f"The file {name} has {status.st_size} bytes where the manifest says {size}.")
    if at_most is not None and status.st_size > at_most:
        raise UnsafeArtefact(f"The file {name} is larger than the {at_most} bytes allowed.")


def publish_directory(target: Path, contents: Mapping[str, bytes]) -> bool:
    """Create a directory with these files, read-only, all at once; False where it existed already."""
    draft = Path(tempfile.mkdtemp(prefix=".put-", dir=target.parent))
    try:
        for name, content in contents.items():
            _write_synced(draft / name, content, 0o444)
        draft.chmod(0o755)
        _sync_directory(draft)
        try:
            draft.rename(target)
        except OSError:
            if not target.exists():
                raise
            return False
        _sync_directory(target.parent)
        return True
    finally:
        rmtree(draft, ignore_errors=True)


def replace_file(target: Path, content: bytes, drafts: Path | None = None, mode: int = 0o644) -> None:
    """Put this content in the file's place: a reader finds the old one or the new one. `drafts`: a folder of the same
    file system where it is written first, for targets beside which nothing else may lie."""
    descriptor, draft = tempfile.mkstemp(prefix=f".{target.name}-", dir=drafts or target.parent)
    os.close(descriptor)
    try:
        _write_synced(Path(draft), content, mode)
        Path(draft).replace(target)
        _sync_directory(target.parent)
    finally:
        Path(draft).unlink(missing_ok=True)


def append_synced(path: Path, line: bytes) -> None:
    """Add a line to a file and wait until it is on disk."""
    with path.open("ab") as stream:
        stream.write(line)
        stream.flush()
        os.fsync(stream.fileno())


def truncate_torn_line(path: Path) -> None:
    """Cut off a last line without an end: what a writer left that died in the middle of it."""
    if path.exists():
        content = path.read_bytes()
        os.truncate(path, content.rfind(b"\n") + 1)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the file's lock, waiting for it. The system frees it when its holder dies."""
    try:
        stream = path.open("ab")
    except OSError as error:
        raise ArtefactError(f"The artefact store {path.parent} cannot be changed: {error.strerror}.") from error
    with stream:
        flock(stream, LOCK_EX)
        yield


def _write_synced(path: Path, content: bytes, mode: int) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    path.chmod(mode)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
