"""`GET /settings`: the settings in force, and the source of each; for operators."""

from typing import Any

from flask import Blueprint, Flask, current_app, request

from flaskapi.config import SETTINGS, hide_secrets
from flaskapi.contract import documents
from flaskapi.web.access import operators_only
from flaskapi.web.described import described
from flaskapi.web.payload import read_query

blueprint = Blueprint("settings", __name__)


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.get("/settings")
@described(documents.SettingList)
@operators_only
def settings() -> dict[str, Any]:
    """Each setting as this process read it when it started. Passwords are left out."""
    read_query(request)
    config = current_app.config
    return {
        "instance": current_app.instance_path,
        "settings": [
            {
                "name": one.name,
                "value": hide_secrets(config[one.name]),
                "source": config["SETTING_SOURCES"][one.name],
                "help": one.help,
            }
            for one in SETTINGS
        ],
    }
