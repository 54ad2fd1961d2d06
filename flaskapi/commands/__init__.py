"""The commands of `python -m flaskapi`, a module for each subject.

Each module offers `add_commands(commands)`, which is called for every start and so imports nothing heavy: what a command needs, its
function imports. A command's function takes the parsed options and returns an exit status, or None for 0.
"""

from typing import Any

TRAIN_EXTRA = "This needs the extra 'train': .venv/bin/pip install --constraint requirements.txt --editable '.[train]'"


def load_service(**settings: str) -> tuple[dict[str, Any], Any]:
    """Settings and services as a web process has them, but for these settings."""
    from flaskapi import create_app

    app = create_app({"LOG_LEVEL": "ERROR", "HOUSEKEEPING": "off"} | settings)
    return app.config, app.extensions["flaskapi"]


def load_settings() -> dict[str, Any]:
    """The settings that a web process has; nothing else is made."""
    from flaskapi import make_app

    return make_app().config
