"""Everything that can go wrong in the core, as types.

The core raises these; the edges decide what they mean there: `api/errors.py` gives them HTTP statuses,
`ebbtide.py` an exit code. Each message is one sentence a person can act on.
"""


class EbbtideError(Exception):
    """Anything the product refuses on purpose. Its text is fit to show to a user."""


class ContractError(EbbtideError):
    """Data that breaks the contract as a whole: a missing table or required column, an unreadable file."""


class NaiveTime(ContractError):
    """A time without an offset where no source time zone was declared."""


class UnknownAccount(EbbtideError):
    """An account id nobody has described to us."""


class UnknownKey(EbbtideError):
    """A key id that is none of ours."""


class KeyEnded(EbbtideError):
    """A key that is revoked or has expired; it cannot be brought back."""


class ChangedMeanwhile(EbbtideError):
    """What was to be changed on a condition (If-Match) is not what the condition says."""


class KeyReused(EbbtideError):
    """An Idempotency-Key that came with another request before."""


class UnknownList(EbbtideError):
    """A risk list that was never published here, or a cursor that does not belong to one."""


class NotScored(EbbtideError):
    """The account exists but has no score (ended, a test account, or never scored yet)."""


class LeakageError(EbbtideError):
    """Training would have seen the future; nothing was fitted."""


class TooFewLabels(EbbtideError):
    """The history holds fewer labelled exits than the requested step needs."""


class ArtefactError(EbbtideError):
    """An artefact that is missing, damaged, unsafe or does not fit this version of the product."""


class UnsafeArtefact(ArtefactError):
    """An artefact whose hashes do not match or whose pickle asks for more than plain values."""


class PromotionRefused(ArtefactError):
    """Something speaks against putting the artefact in service, and nobody forced it."""


class FeatureMismatch(ArtefactError):
    """The artefact was fitted on other feature definitions than this code computes."""


class TableModel(EbbtideError):
    """The model reads rows of a table; it was asked about a history, or about silence, of which it knows nothing."""


class SettingsError(EbbtideError):
    """A setting that cannot be understood; the service refuses to start."""


class UnknownWebhook(EbbtideError):
    """A webhook or a delivery that is not there."""


class AddressRefused(EbbtideError):
    """An address that messages must not be sent to, or that is none."""


class NotGenuine(EbbtideError):
    """A message whose signature does not prove who sent it, or that is too old to be sent now."""
