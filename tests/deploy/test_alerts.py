"""What is made of the metrics: alerts, a dashboard and an example of a scrape, each checked by its
own maker's tool.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import typing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from operators import store_of
from servers import ROOT

from flaskapi.submissions import batches, retrainings

DEPLOY = ROOT / "deploy"
RULES = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((DEPLOY / "grafana.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


@pytest.fixture
def promtool() -> str:
    own = Path(sys.prefix) / "bin" / "promtool"
    found = str(own) if own.exists() else shutil.which("promtool")
    if found is None:
        reason = "promtool is not there: make promtool"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return found


def run(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.process
@pytest.mark.parametrize(
    "what",
    [
        "check rules --lint-fatal alerts.yml",
        "test rules alerts-test.yml",
        "check config prometheus.yml",
    ],
)
def test_prometheus_takes_it(promtool: str, what: str) -> None:
    run(promtool, *what.split())


@pytest.mark.process
def test_prometheus_understands_every_query_of_the_dashboard(promtool: str, tmp_path: Path) -> None:
    rules = [
        {"record": f"query_{place}", "expr": query.replace("$__rate_interval", "5m")}
        for place, query in enumerate(QUERIES)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    run(promtool, "check", "rules", file)


def test_each_alert_is_tested_where_it_fires_and_where_not() -> None:
    tests = yaml.safe_load((DEPLOY / "alerts-test.yml").read_text())["tests"]
    tested = [
        (rule["alertname"], bool(rule["exp_alerts"]))
        for one in tests
        for rule in one["alert_rule_test"]
    ]
    assert [(rule["alert"], fires) for rule in RULES for fires in (True, False)] == tested


def test_alerts_and_dashboard_name_what_is_measured_and_leave_nothing_out(keeping: Flask) -> None:
    store = store_of(keeping)
    for work in (batches, retrainings):
        work.note_worker(store, datetime.now(UTC))
    text = keeping.test_client().get("/metrics").text
    found = re.findall(r"^# TYPE (flaskapi_\w+) (\w+)$", text, re.M)
    kinds = {name: kind for name, kind in found if not name.endswith("_created")}
    named = {
        name
        for query in [*QUERIES, *(rule["expr"] for rule in RULES)]
        for name in re.findall(r"flaskapi_\w+", query)
    }
    series = {
        name + suffix
        for name, kind in kinds.items()
        for suffix in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
    }
    assert set() == named - series
    not_shown = {name for name in kinds if not any(one.startswith(name) for one in named)}
    assert {"flaskapi_disk_size_bytes"} == not_shown
    documented = re.findall(r"`(flaskapi_\w+)", (ROOT / "docs/operation.md").read_text())
    assert set(kinds) == set(documented)


def test_the_dashboard_is_one_by_grafanas_own_schema() -> None:
    """Nothing of it is lost on the way through Grafana's types, and each value is of its type."""
    model = Dashboard.from_json(DASHBOARD)
    again = json.loads(JSONEncoder().encode(model))
    assert [] == list(missing(DASHBOARD, again))
    assert [] == list(mistyped(model))


def missing(ours: Any, theirs: Any, at: str = "") -> typing.Iterator[str]:
    """Where something of ours is not in theirs, or otherwise."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            yield from missing(value, theirs.get(key), f"{at}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for place, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from missing(*pair, f"{at}[{place}]")
    elif ours != theirs:
        yield f"{at}: {ours!r} is {theirs!r}"


def mistyped(model: Any, at: str = "") -> typing.Iterator[str]:
    """Where a plain value is of another type than Grafana's own description says."""
    for name, hint in typing.get_type_hints(type(model)).items():
        value = getattr(model, name)
        if isinstance(value, str | int | float | bool):
            allowed = plain(hint)
            if allowed and not isinstance(value, allowed):
                yield f"{at}.{name}: {value!r} is no {allowed}"
        for place, one in enumerate(value if isinstance(value, list) else [value]):
            if hasattr(type(one), "from_json"):
                yield from mistyped(one, f"{at}.{name}[{place}]")


def plain(hint: Any) -> tuple[type, ...]:
    """The plain types of a hint; none where any other may be."""
    found = typing.get_args(hint) or (hint,)
    types = {one for one in found if one in (str, int, float, bool)}
    if not types or set(found) - types - {type(None)}:
        return ()
    return tuple(types | ({int} if float in types else set()))


def test_a_mistake_in_the_dashboard_would_be_found() -> None:
    broken = json.loads(json.dumps(DASHBOARD))
    broken["panels"][0]["gridPos"]["w"] = "8"
    broken["panels"][1]["titel"] = "misspelt"
    model = Dashboard.from_json(broken)
    assert [".panels[0].grid_pos[0].w: '8' is no"] == [
        one.partition(" (")[0] for one in mistyped(model)
    ]
    again = json.loads(JSONEncoder().encode(model))
    assert [".panels[1].titel: 'misspelt' is None"] == list(missing(broken, again))


def test_panels_have_places_and_names_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    assert len(panels) == len({panel["id"] for panel in panels})
    assert len(panels) == len({panel["title"] for panel in panels})
    taken = [
        (x, y)
        for panel in panels
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
