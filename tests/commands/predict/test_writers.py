import csv
import io
import json
import sys
from typing import Any

import pyarrow.parquet
import pytest

from flaskapi.commands.predict import writers
from flaskapi.commands.predict.writers import check_form, make_writer
from flaskapi.errors import FlaskapiError

RESULTS: list[dict[str, Any]] = [
    {
        "name": "7.png",
        "digit": 7,
        "confidence": 0.9876,
        "probabilities": [0.1],
        "uncertain": False,
        "model": "v",
    },
    {
        "name": 'a "strange", name\n',
        "error": {
            "type": "/problems/missing-image",
            "status": 400,
            "detail": "The image is empty.",
        },
    },
    {
        "name": "ä\udcff.png",
        "digit": 0,
        "confidence": 0.5,
        "probabilities": [0.1],
        "uncertain": True,
        "model": "v",
    },
]


def write(form: Any, results: list[dict[str, Any]], route: Any = "digit") -> bytes:
    file = io.BytesIO()
    writer = make_writer(form, file, route)
    for result in results:
        writer.write([result])
    writer.close()
    return file.getvalue()


def test_csv_has_a_header_and_a_row_for_each_image() -> None:
    rows = list(csv.reader(io.StringIO(write("csv", RESULTS).decode(), newline="")))
    assert ["name", "digit", "confidence", "uncertain", "error"] == rows[0]
    assert ["7.png", "7", "0.9876", "false", ""] == rows[1]
    assert ['a "strange", name\n', "", "", "", "The image is empty."] == rows[2]
    assert ["ä?.png", "0", "0.5", "true", ""] == rows[3]
    assert b"name,digit,confidence,uncertain,error\n" == write("csv", [])


def test_a_number_keeps_its_zeros() -> None:
    number = [{"name": "a.png", "number": "007", "confidence": 0.9, "uncertain": False}]
    assert write("csv", number, "number").endswith(b"a.png,007,0.9,false,\n")
    assert ["007"] == pyarrow.parquet.read_table(io.BytesIO(write("parquet", number, "number")))[
        "number"
    ].to_pylist()


def test_ndjson_has_all_that_the_service_answers() -> None:
    assert RESULTS == [json.loads(line) for line in write("ndjson", RESULTS).splitlines()]


def test_parquet_has_the_columns_of_csv_with_their_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "ROW_GROUP", 2)
    table = pyarrow.parquet.read_table(io.BytesIO(write("parquet", RESULTS[:2] * 5)))
    assert {
        "name": "string",
        "digit": "int8",
        "confidence": "double",
        "uncertain": "bool",
        "error": "string",
    } == {field.name: str(field.type) for field in table.schema}
    assert [7, None] * 5 == table["digit"].to_pylist()
    assert [None, "The image is empty."] == table["error"].to_pylist()[:2]
    assert 0 == pyarrow.parquet.read_table(io.BytesIO(write("parquet", []))).num_rows


def test_without_pyarrow_parquet_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet")
    check_form("csv")
    with pytest.raises(FlaskapiError, match=r"pyarrow is not installed.*'\.\[parquet\]'"):
        check_form("parquet")
