"""What headers of its own a route reads. The same table refuses a header and describes it."""

from flaskapi.contract.queries import Query, QueryField

IDEMPOTENCY_KEY = "Idempotency-Key"
_FORM = r'"[!#-~]{1,255}"|[!#-~]{1,255}'

PREFER = "Prefer"

NO_HEADERS: Query = {}
UPLOAD: Query = {
    IDEMPOTENCY_KEY: QueryField(
        _FORM,
        "1 to 255 visible signs of ASCII, perhaps in quotes",
        "a new one for each upload, such as a UUID; the same again repeats that upload, which is "
        "kept once and has the same answer",
        {"type": "string", "pattern": f"^(?:{_FORM})$"},
    )
}
# RFC 7240; a preference that is not known is ignored.
LATER: Query = {
    PREFER: QueryField(
        ".*",
        "a list of preferences",
        "`respond-async`: a worker does it; the answer is 202, and says where to look",
        {"type": "string"},
    )
}
