"""Every code of a refusal: its status and what it means. Codes are for programs and keep their meaning.

    unknown_account    404    nobody has described an account of this id

A route says by code what it refuses (`contract.operation`); statuses, the description and the guide's table follow.
"""

from collections.abc import Iterable

CODES: dict[str, tuple[int, str]] = {
    "malformed_json": (400, "the body is no JSON, holds NaN, Infinity or half a surrogate pair, or nests too deeply"),
    "malformed_gzip": (400, "the body is said to be gzip and is not, or not whole"),
    "invalid_idempotency_key": (400, "the Idempotency-Key is not 1 to 255 printable ASCII characters"),
    "condition_not_supported": (400, "this address does not look at If-Match"),
    "bad_request": (400, "the request breaks the rules of HTTP"),
    "unauthenticated": (401, "no key, or one that is not known, has expired or was revoked"),
    "forbidden": (403, "the key lacks the scope"),
    "restricted_key": (403, "the key is restricted to some accounts, and the address speaks of all"),
    "not_genuine": (403, "the signature does not fit, or the message is too old"),
    "not_found": (404, "there is no such address"),
    "door_closed": (404, "this live door has no secret"),
    "unknown_account": (404, "nobody has described an account of this id"),
    "unknown_contact": (404, "nothing is stored under this id"),
    "unknown_list": (404, "there is no such list, or it is kept no longer"),
    "unknown_webhook": (404, "there is no such receiver"),
    "unknown_key": (404, "there is no such key"),
    "no_list_yet": (404, "no run has published a list"),
    "no_override": (404, "no override holds now"),
    "not_erased": (404, "nobody keeps this id out"),
    "not_monitored_yet": (404, "nobody has looked at this model"),
    "method_not_allowed": (405, "the address does not take this method; see Allow"),
    "not_acceptable": (406, "none of the types in Accept is served here"),
    "account_is_test": (409, "no score: it is a test account"),
    "account_not_started": (409, "no score: it was no customer yet"),
    "account_ended": (409, "no score: it has left"),
    "account_leaving": (409, "no score: it has given notice"),
    "account_unpaid": (409, "no score: it pays nothing"),
    "not_scored_yet": (409, "no score: the next run will give it one"),
    "not_scored_then": (409, "there was no score by one of the two moments"),
    "model_not_stored": (409, "the artefact of the model that made a score is gone"),
    "model_reads_table": (409, "the model in service reads a wide table and scores no accounts"),
    "key_ended": (409, "the key was revoked or has expired"),
    "idempotency_in_progress": (409, "the first request with this Idempotency-Key is still at work; see Retry-After"),
    "list_expired": (410, "the list that the cursor points into is kept no longer"),
    "precondition_failed": (412, "what is stored is not what If-Match or If-None-Match says"),
    "too_large": (413, "the body has too many bytes"),
    "too_many_items": (413, "the body has too many items"),
    "too_many_rows": (413, "the histories have too many rows"),
    "uri_too_long": (414, "the address is longer than 4,094 bytes"),
    "unsupported_media_type": (415, "the body is of a type that is not taken here"),
    "unsupported_encoding": (415, "the body is packed in a way that is not taken here"),
    "expectation_failed": (417, "Expect asks for something other than 100-continue"),
    "invalid_body": (422, "the body does not fit; see `errors`"),
    "invalid_query": (422, "the query does not fit; see `errors`"),
    "invalid_cursor": (422, "the cursor is none of ours, or belongs to another question"),
    "invalid_data": (422, "the body is well formed and cannot be done"),
    "address_refused": (422, "the webhook leads where none may go"),
    "too_many_moments": (422, "the histories are of too many moments"),
    "too_many_accounts": (422, "more accounts than one answer compares; narrow them"),
    "feature_mismatch": (422, "the model in service needs other features than these"),
    "idempotency_key_reused": (422, "the Idempotency-Key was used for another request"),
    "idempotency_not_for_streams": (422, "the answer to a stream is not kept"),
    "rate_limited": (429, "the key has asked too often; see Retry-After"),
    "too_many_idempotency_keys": (429, "the key has too many kept answers; see Retry-After"),
    "headers_too_large": (431, "the headers are too many or too long"),
    "internal": (500, "a bug on our side, logged under the request id"),
    "store_unavailable": (503, "the store cannot be used"),
    "model_unavailable": (503, "no model is in service, or it cannot be read"),
    "not_ready": (503, "the service cannot serve; `detail` says why"),
}

NO_SCORE = (
    "account_is_test",
    "account_not_started",
    "account_ended",
    "account_leaving",
    "account_unpaid",
    "not_scored_yet",
)


def by_status(codes: Iterable[str]) -> dict[int, list[str]]:
    """The codes by status, in the order of the table."""
    wanted, found = set(codes), dict[int, list[str]]()
    for code, (status, _) in CODES.items():
        if code in wanted:
            found.setdefault(status, []).append(code)
    return found


def is_retried(status: int) -> bool:
    """Whether a refusal of this status may be sent again as it is; it says when."""
    return status == 429 or status >= 500
