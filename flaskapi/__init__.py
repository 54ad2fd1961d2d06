"""Handwritten digits read over HTTP. `create_app` puts the service together; it is the one place that knows every room."""

from collections.abc import Mapping
from typing import Any

from flask import Flask

from flaskapi import numbers, recognition
from flaskapi.config import find_instance_path, load_config
from flaskapi.errors import ModelUnavailableError, StoreUnavailableError
from flaskapi.numbers import Detector
from flaskapi.recognition import Classifier
from flaskapi.submissions import NoStore, Store


def create_app(
    config: Mapping[str, Any] | None = None,
    *,
    classifier: Classifier | None = None,
    detector: Detector | None = None,
    store: Store | None = None,
) -> Flask:
    """Make the application, its models loaded and warm.

    Args:
        config: settings that go before the environment's and the instance folder's; `INSTANCE_PATH` moves that folder.
        classifier: answers in place of the model files, as tests do.
        detector: finds digits beside that classifier; without one, numbers are not read.
        store: keeps submissions in place of the one of the settings.

    Raises:
        SettingError: a setting has a bad value; a bad model file does not stop the start, `/health/ready` tells of it.
    """
    from flaskapi.serving.detector import NoDetector
    from flaskapi.web import access, batch, errors, log, metrics, number, operations, predict, request_id
    from flaskapi.web.services import Services

    app = make_app(config)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's own provider has it; the answer reads as the contract writes it, digit first
    log.init_app(app)
    if classifier is None:
        classifier, detector = _load_models(app)
    app.extensions["flaskapi"] = Services(
        classifier,
        detector or NoDetector("No detector was given."),
        store or _open_store(app),
        metrics.create_metrics(app.config["METRICS_PATH"]),
    )
    for part in (request_id, metrics, errors, access, predict, batch, number, operations):
        part.init_app(app)
    return app


def make_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Make an application that has its settings, and nothing else."""
    app = Flask(__name__, instance_path=find_instance_path(config))
    app.config.update(load_config(app.instance_path, config))
    return app


def _open_store(app: Flask) -> Store:
    """Make the store, and its tables if it has none yet; where that cannot be, it is tried again when something is to be kept."""
    if app.config["STORE"] == "off":
        return NoStore()
    from flaskapi.submissions.store import DatabaseStore
    from flaskapi.submissions.writer import WrittenStore

    database = DatabaseStore(app.config["DATABASE_URL"] or f"sqlite:///{app.instance_path}/submissions.db", app.config["STORE_DURABILITY"])
    try:
        database.check()
        app.logger.info("ready: store %s", database.kind)
    except StoreUnavailableError as error:
        app.logger.error("not ready: %s", error)
    database.close()  # a server may fork this process
    return WrittenStore(database, app.logger)


def _load_models(app: Flask) -> tuple[Classifier, Detector]:
    """Load what the settings name; where that cannot be, the reason takes its place."""
    from flaskapi.serving.classifier import NoClassifier, load_classifier
    from flaskapi.serving.detector import NoDetector, load_detector

    classifier: Classifier
    detector: Detector
    try:
        classifier = load_classifier(app.config["MODEL_PATH"], app.config["CACHE_PATH"])
        app.logger.info("ready: model %s", classifier.version)
    except ModelUnavailableError as error:
        app.logger.error("not ready: %s", error)
        classifier = NoClassifier(str(error))
    try:
        detector = load_detector(app.config["DETECTOR_PATH"], app.config["CACHE_PATH"])
    except ModelUnavailableError as error:
        app.logger.error("not ready: %s", error)
        detector = NoDetector(str(error))
    recognition.warm_up(classifier)
    numbers.warm_up(classifier, detector)
    return classifier, detector
