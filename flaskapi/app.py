"""The service that reads handwritten digits over HTTP. `create_app` builds it; only this module
uses every room.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask

from flaskapi.config import find_instance_path, load_config
from flaskapi.digits import apart
from flaskapi.errors import ModelUnavailableError, StoreUnavailableError
from flaskapi.reading import digit
from flaskapi.reading.number import warm_up
from flaskapi.reading.protocols import Classifier, Detector, Limits
from flaskapi.submissions import NoStore, Store

if TYPE_CHECKING:
    from flaskapi.submissions.database import Database
    from flaskapi.versions.processes import Processes
    from flaskapi.versions.registry import Registry
    from flaskapi.versions.shadow import Shadowed
    from flaskapi.versions.switch import Switch


def create_app(
    config: Mapping[str, Any] | None = None,
    *,
    classifier: Classifier | None = None,
    detector: Detector | None = None,
    store: Store | None = None,
) -> Flask:
    """Make the application, with its models loaded and warm.

    Args:
        config: settings that overrule the environment and the instance folder; `INSTANCE_PATH`
            moves that folder.
        classifier: answers instead of the model files, for tests.
        detector: finds the digits of numbers for that classifier; without it numbers are not read.
        store: keeps submissions instead of the store in the settings.

    Raises:
        SettingError: a setting has a bad value. A bad model file does not stop the start;
            `/health/ready` reports it.
    """
    from flaskapi.serving.detector import NoDetector
    from flaskapi.versions.lease import Fixed
    from flaskapi.web import (
        access,
        batch,
        batches,
        client,
        cors,
        docs,
        errors,
        gate,
        inference,
        keys,
        labelling,
        labels,
        limits,
        log,
        mcp,
        metrics,
        models,
        number,
        openapi,
        operations,
        pages,
        predict,
        request_id,
        retrainings,
        security,
        settings,
        statistics,
        storage,
        submissions,
    )
    from flaskapi.web.services import Models, Services

    app = make_app(config)
    apart.set_bounds(
        apart.Bounds(app.config["MAX_IMAGE_CPU_S"], app.config["MAX_IMAGE_MEMORY_BYTES"])
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's own provider has it; the answer reads as the contract writes it, digit first
    log.init_app(app)
    store = store or _open_store(app)
    registry = make_registry(app, store)
    serving: Models = Fixed(classifier) if classifier else _load_versions(app, store, registry)
    if classifier is None:
        detector = make_detector(app)
        warm_up(serving.lease(), detector)
    app.extensions["flaskapi"] = Services(
        serving,
        detector or NoDetector("No detector was given."),
        Limits(app.config["MAX_IMAGE_PIXELS"], app.config["UNCERTAIN_BELOW"]),
        store,
        metrics.create_metrics(app.config["METRICS_PATH"]),
        registry,
    )
    for part in (
        client,
        request_id,
        security,
        cors,
        metrics,
        errors,
        gate,
        access,
        predict,
        batch,
        batches,
        number,
        inference,
        labels,
        labelling,
        mcp,
        submissions,
        statistics,
        storage,
        models,
        retrainings,
        keys,
        settings,
        pages,
        openapi,
        docs,
    ):
        part.init_app(app)
    for part in (operations, limits):  # the limits apply to all views that exist by then
        part.init_app(app)
    return app


class _App(Flask):
    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """No view and no hook is a coroutine: Flask would look at seven of them at each request."""
        return func


def make_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Make an application with its settings and nothing else."""
    app = _App("flaskapi", instance_path=find_instance_path(config))
    app.config.update(load_config(app.instance_path, config))
    return app


def _open_store(app: Flask) -> Store:
    """Open the store, and create its tables if there are none. If this fails, it is tried again
    when something is kept.
    """
    if app.config["STORE"] == "off":
        return NoStore()
    from flaskapi.submissions.housekeeping import Housekeeper, find_limits
    from flaskapi.submissions.writer import Writer

    database = make_database(app)
    try:
        database.check()
        app.logger.info("ready: store %s", database.kind)
    except StoreUnavailableError as error:
        app.logger.error("not ready: %s", error)
    database.close()  # a server may fork this process
    store = Writer(database, app.logger, pictures=database.pictures)
    if app.config["HOUSEKEEPING"] == "on":
        Housekeeper(store, find_limits(app.config), app.logger).start()
    return store


def make_database(app: Flask) -> "Database":
    """Make the database of the settings; it connects when it is first used."""
    from flaskapi.submissions.database import Database
    from flaskapi.submissions.pictures import open_pictures

    return Database(
        find_address(app),
        app.config["STORE_DURABILITY"],
        free_bytes=app.config["KEEP_FREE_BYTES"],
        pictures=open_pictures(app.config["PICTURES"], app.config["PICTURES_ABOVE_BYTES"]),
    )


def find_instance() -> str:
    """The folder for the service's files; no setting in it is read."""
    return Flask("flaskapi", instance_path=find_instance_path()).instance_path


def find_address(app: Flask) -> str:
    """The address of the database in the settings."""
    return app.config["DATABASE_URL"] or f"sqlite:///{app.instance_path}/submissions.db"


def make_registry(app: Flask, store: Store | None = None) -> "Registry":
    """Make the registry of the versions; it reads nothing until it is asked.

    Args:
        app: has the settings.
        store: the database, where the versions are in one; by default that of the settings.
    """
    config = app.config
    if config["VERSIONS_STORE"] == "database":
        from flaskapi.versions.shared import SharedRegistry

        return SharedRegistry(
            config["CACHE_PATH"] / "versions",
            config["MODEL_PATH"],
            config["CACHE_PATH"],
            store or make_database(app),
        )
    from flaskapi.versions.registry import Registry

    return Registry(config["VERSIONS_PATH"], config["MODEL_PATH"], config["CACHE_PATH"])


def _make_processes(app: Flask, store: Store) -> "Processes":
    path = Path(app.instance_path) / "processes"
    if app.config["VERSIONS_STORE"] == "database":
        from flaskapi.versions.shared import SharedProcesses

        return SharedProcesses(path, store)
    from flaskapi.versions.processes import Processes

    return Processes(path)


def _load_versions(app: Flask, store: Store, registry: "Registry") -> "Switch":
    """Load the version that should serve, or the previous one; if neither can be loaded, the
    classifier is the reason.
    """
    from flaskapi.versions.switch import Switch

    def keep(shadowed: "Sequence[Shadowed]") -> None:
        from flaskapi.submissions.shadows import keep_shadowed

        keep_shadowed(store, [answer._asdict() for answer in shadowed])

    return Switch(
        registry,
        _make_processes(app, store),
        warm=digit.warm_up,
        keep=None if app.config["STORE"] == "off" else keep,
    )


def make_detector(app: Flask) -> "Detector":
    """Load the detector of the settings; if it cannot be loaded, the detector is the reason."""
    from flaskapi.serving.detector import NoDetector, load_detector

    try:
        return load_detector(app.config["DETECTOR_PATH"], app.config["CACHE_PATH"])
    except ModelUnavailableError as error:
        app.logger.error("not ready: %s", error)
        return NoDetector(str(error))
