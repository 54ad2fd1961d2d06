"""Read handwritten digits: `create_app` makes a service, `Reader` reads without one.

Importing the package loads neither: each is loaded, with its libraries, when it is first used.
"""

import os
from typing import TYPE_CHECKING, Any

# ONNX Runtime from 1.29 on reports to Microsoft unless this is set when it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from flaskapi.app import create_app as create_app
    from flaskapi.reading.reader import Reader as Reader

__all__ = ["Reader", "create_app"]
_HOMES = {"create_app": "flaskapi.app", "Reader": "flaskapi.reading.reader"}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
