"""What only a store can refuse."""

from models.errors import EbbtideError


class StoreError(EbbtideError):
    """The database cannot be used as it is: unreachable, of an unknown kind, or its driver is missing."""


class SchemaMismatch(StoreError):
    """The database's tables are older or newer than this version of the product."""


class RunInProgress(StoreError):
    """Another process is doing the same exclusive work on this database."""
