"""One request takes no more instructions than were written down."""

import json
import os
import shutil

import pytest

from benchmarks import instructions

pytestmark = pytest.mark.process


def test_what_grew_is_named() -> None:
    stored = {"network": {"ONNX Runtime": 900_000}, "http": {"Python": 100_000}}
    assert "" == instructions.compare(stored | {"http": {"Python": 150_000}}, stored)
    said = instructions.compare(stored | {"http": {"Python": 151_000}}, stored)
    assert "+5.1%" in said
    assert "http (Python) +51 thousand" in said


def test_a_prediction_takes_no_more_instructions_than_were_stored() -> None:
    if shutil.which("valgrind") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("apt install valgrind")
    if reason := instructions.why_not():
        pytest.skip(reason)
    stored = json.loads(instructions.STORED.read_text("utf-8"))
    if stored["circumstances"] != instructions.circumstances():
        pytest.skip(f"the stored figures are of {stored['circumstances']}")
    # What Python tidies up now and then may fall into one measurement, not into all.
    grown = "not measured"
    for _ in range(3):
        grown = instructions.compare(instructions.measure(), stored["counts"])
        if not grown:
            break
    assert "" == grown
