"""Holds every answer that a test is given against what `/openapi.json` says of its route."""

from typing import Any

import jsonschema_rs
from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.test import TestResponse

from flaskapi.contract.openapi import describe_service
from flaskapi.web.openapi import routes_of


class Description:
    """What an application says of itself."""

    def __init__(self, app: Flask) -> None:
        self._document = describe_service(routes_of(app), app.config)
        self._validators = dict[str, Any]()

    def find_fault(self, app: Flask, method: str, path: str, answer: TestResponse) -> str | None:
        """Say what of an answer is not described; None where all is, or its route is not its own.

        Only a whole answer is looked at: one that comes piece by piece is not read here.
        """
        operation = self._find(app, method, path)
        if operation is None:
            return None
        described = operation["responses"].get(str(answer.status_code))
        if described is None:
            return f"the status {answer.status_code}"
        if missing := set(described.get("headers", ())) - set(answer.headers.keys()):
            return f"no header {missing}"
        content = described.get("content", {})
        if answer.status_code in (204, 304) or method == "HEAD":
            return None
        if answer.mimetype not in content and "*/*" not in content:
            return f"the type {answer.mimetype}"
        if answer.content_length is None or not answer.is_json:
            return None
        schema = content[answer.mimetype]["schema"]
        fault = next(self._validator(schema).iter_errors(answer.get_json()), None)
        return None if fault is None else f"{fault.message}, at {fault.instance_path}"

    def _find(self, app: Flask, method: str, path: str) -> dict[str, Any] | None:
        try:
            rule, _ = app.url_map.bind("localhost").match(path, method, return_rule=True)
        except (HTTPException, RequestRedirect):
            return None
        path = rule.rule.replace("<uuid:", "<").replace("<", "{").replace(">", "}")
        operation = self._document["paths"].get(path, {})
        found: dict[str, Any] | None = operation.get("get" if method == "HEAD" else method.lower())
        return found

    def _validator(self, schema: dict[str, Any]) -> Any:
        key = str(schema)
        if key not in self._validators:
            whole = schema | {"components": self._document["components"]}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole)
        return self._validators[key]
