"""A real Chromium, and servers of this process for it to ask."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import waitress
from flask import Flask
from playwright.sync_api import Browser, expect, sync_playwright
from waitress.server import create_server

from flaskapi import create_app

ARGUMENTS = [
    "--no-sandbox",  # which root needs
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT_MS = 30_000  # long, for a machine that does much else


def why_no_chromium() -> str | None:
    if shutil.which("chromium") is None:
        return "Chromium is not installed: apt install chromium"
    return None


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's own Chromium; Playwright's would be another download."""
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=ARGUMENTS
        )
        yield browser
        browser.close()


class Serving:
    """An application on a loopback port, in threads of this process."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._server: Any = create_server(app, host="127.0.0.1", port=0, threads=8)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.effective_port}/"

    def close(self) -> None:
        self._server.close()
        waitress.wasyncore.close_all(self._server._map, ignore_all=True)
        self._thread.join(10)


class Site(Serving):
    """The service with the shipped models."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        config = {"INSTANCE_PATH": folder, "STORE": "on"} | settings
        super().__init__(create_app(config))

    def close(self) -> None:
        super().close()
        self.app.extensions["flaskapi"].store.close()
