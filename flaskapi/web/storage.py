"""`GET /storage`: how much is kept, how much space it takes, and when it is erased."""

from datetime import timedelta
from typing import Any

from flask import Blueprint, Flask, current_app, request

from flaskapi.contract import documents
from flaskapi.contract.answers import write_moment
from flaskapi.web.access import operators_only
from flaskapi.web.described import described
from flaskapi.web.payload import read_query
from flaskapi.web.services import services

blueprint = Blueprint("storage", __name__)
LIMITS = (
    "KEEP_DAYS",
    "KEEP_SUBMISSIONS",
    "KEEP_BYTES",
    "KEEP_DISK_SHARE",
    "KEEP_FREE_BYTES",
    "HOUSEKEEPING",
)


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.get("/storage")
@described(documents.StorageAnswer)
@operators_only
def storage() -> dict[str, Any]:
    """How much is kept, its space, the limits, and when the oldest submission is erased because of
    its age.
    """
    # Not at the top: a service without a store does not need the database's libraries.
    from flaskapi.submissions.usage import measure

    read_query(request)
    config = current_app.config
    usage = measure(services().store, config["KEEP_FREE_BYTES"])
    days, oldest_at = config["KEEP_DAYS"], usage.oldest_at
    goes_at = oldest_at + timedelta(days=days) if oldest_at and days is not None else None
    moments = {
        "oldest_at": oldest_at,
        "oldest_goes_at": goes_at,
        "housekeeping_at": usage.housekeeping_at if config["HOUSEKEEPING"] == "on" else None,
    }
    return {
        "submissions": usage.submissions,
        **{name: write_moment(moment) if moment else None for name, moment in moments.items()},
        "used_bytes": usage.used_bytes,
        "reusable_bytes": usage.reusable_bytes,
        "disk": {f"{name}_bytes": value for name, value in usage.disk._asdict().items()}
        if usage.disk
        else None,
        "limits": {name: config[name] for name in LIMITS},
    }
