"""`export` and `import`, from one database to a folder, to `evaluate`, and to another database."""

import csv
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from fakes import draw_digit, encode, make_submission
from operators import place_empty_store

from flaskapi.__main__ import main
from flaskapi.submissions import exchange
from flaskapi.submissions.database import Database
from flaskapi.submissions.engine import make_engine
from flaskapi.submissions.identifiers import first_id
from flaskapi.submissions.listing import get_submission
from flaskapi.submissions.pictures import open_pictures
from flaskapi.submissions.tables import images, labels, submissions

NUMBER = {"probabilities": None, "normalized": None, "digits": [], "route": "/predict/number"}


@pytest.fixture
def store(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The store of the settings."""
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(tmp_path / "instance"))
    monkeypatch.setenv("FLASKAPI_STORE", "on")
    monkeypatch.setenv("FLASKAPI_DATABASE_URL", url)
    if url == f"sqlite:///{tmp_path}/submissions.db":
        place_empty_store(tmp_path)
    return Database(url, "process")


def keep(store: Database, *kept: dict[str, Any]) -> list[UUID]:
    sent = [make_submission(**changes) for changes in kept]
    store.record(sent)
    store.close()
    return [one.id for one in sent]


def labelled(label: str, image: bytes, **changes: Any) -> dict[str, Any]:
    return {"label": label, "label_source": "operator", "image": image} | changes


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def labels_by_image(url: str) -> list[tuple[str, str]]:
    engine = make_engine(url, "process")
    query = (
        sa.select(images.c.content, submissions.c.label)
        .join(images)
        .where(submissions.c.label.is_not(None))
    )
    with engine.connect() as connection:
        found = sorted(
            (hashlib.sha256(content).hexdigest(), label)
            for content, label in connection.execute(query)
        )
        assert (
            len(found)
            <= connection.execute(sa.select(sa.func.count()).select_from(submissions)).scalar_one()
        )
    engine.dispose()
    return found


def labels_by_id(url: str) -> dict[str, str | None]:
    engine = make_engine(url, "process")
    with engine.connect() as connection:
        query = sa.select(submissions.c.id, submissions.c.label)
        found = {str(id): label for id, label in connection.execute(query)}
    engine.dispose()
    return found


def test_an_export_is_evaluated_and_taken_into_an_empty_store(
    store: Database,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pictures = {digit: encode(draw_digit(digit, side=56)) for digit in (2, 3, 7)}
    blank = encode(draw_digit(8, side=56)[:26])  # half an 8: read as something
    sent = [labelled(str(digit), picture) for digit, picture in pictures.items()] + [
        labelled("none", blank),
        {"image": pictures[7]},
    ]
    ids = keep(store, *sent)
    folder = tmp_path / "exported"
    assert 0 == main(["export", str(folder)])
    assert f"Wrote 4 labelled and 1 other images into {folder}." in capsys.readouterr().out
    assert {f"{one}.png" for one in ids} | {"labels.csv", "unlabelled.csv"} == {
        path.name for path in folder.iterdir()
    }
    assert [change["image"] for change in sent] == [
        (folder / f"{one}.png").read_bytes() for one in ids
    ], "a PNG stays as it was sent"
    assert 0o700 == folder.stat().st_mode & 0o777
    assert {0o600} == {path.stat().st_mode & 0o777 for path in folder.iterdir()}, (
        "in a folder that was there others may look"
    )
    rows = read_table(folder / "labels.csv")
    assert [
        (f"{one}.png", label) for one, label in zip(ids, ["2", "3", "7", "none"], strict=False)
    ] == [(row["file"], row["label"]) for row in rows]
    assert [
        "file",
        "label",
        "source",
        "prediction",
        "confidence",
        "uncertain",
        "model",
        "received_at",
        "sha256",
        "id",
    ] == list(rows[0])
    assert [(f"{ids[4]}.png", "", "7")] == [
        (row["file"], row["label"], row["prediction"])
        for row in read_table(folder / "unlabelled.csv")
    ]

    assert 0 == main(["evaluate", str(folder)])
    assert "100" in capsys.readouterr().out

    before = labels_by_image(url)
    other = f"sqlite:///{tmp_path}/other.db"
    monkeypatch.setenv("FLASKAPI_DATABASE_URL", other)
    for expected in (
        "Kept 4 images with their labels, labelled 0 that were kept; 0 were there already",
        "Kept 0 images with their labels, labelled 0 that were kept; 4 were there already",
    ):
        assert 0 == main(["import", str(folder)])
        assert expected in capsys.readouterr().out
    assert before == labels_by_image(other)
    engine = make_engine(other, "process")
    with engine.connect() as connection:
        assert {"operator"} == set(
            connection.execute(sa.select(submissions.c.label_source)).scalars()
        )
        assert sorted(label for _, label in before) == sorted(
            connection.execute(sa.select(labels.c.label)).scalars()
        )
        assert {784} == set(
            connection.execute(sa.select(sa.func.length(submissions.c.normalized))).scalars()
        )
    engine.dispose()


def test_what_a_sender_said_is_taken_in_as_that(
    store: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    keep(
        store,
        labelled("7", encode(draw_digit(7, side=56)), label_source="sender"),
        labelled("3", encode(draw_digit(3, side=56))),
    )
    assert 0 == main(["export", str(tmp_path / "exported")])
    monkeypatch.setenv("FLASKAPI_DATABASE_URL", f"sqlite:///{tmp_path}/other.db")
    assert 0 == main(["import", str(tmp_path / "exported")])
    engine = make_engine(f"sqlite:///{tmp_path}/other.db", "process")
    with engine.connect() as connection:
        query = sa.select(submissions.c.label, submissions.c.label_source).order_by(
            submissions.c.label
        )
        assert [("3", "operator"), ("7", "sender")] == [
            tuple(row) for row in connection.execute(query)
        ]
    engine.dispose()


def test_numbers_are_exported_as_evaluate_takes_them_and_taken_in(
    store: Database,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A label has no line ends; they are put where they were read, if that fits."""
    picture = encode(draw_digit(7, side=56))
    two_lines = {"prediction": "123", "lines": ["12", "3"]}
    ids = keep(
        store,
        labelled("7", picture, prediction="7", lines=["7"], **NUMBER),
        labelled("124", picture, **two_lines, **NUMBER),
        labelled("12", picture, **two_lines, **NUMBER),
        labelled("none", picture, **two_lines, **NUMBER),
        {"image": picture, "label": "7", "label_source": "operator"},
    )
    folder = tmp_path / "exported"
    assert 0 == main(["export", str(folder), "--number", "--labelled"])
    rows = [(row["file"], row["label"]) for row in read_table(folder / "labels.csv")]
    assert [
        (f"{one}.png", label) for one, label in zip(ids, ["7", "12|4", "12", "none"], strict=False)
    ] == rows
    assert not (folder / "unlabelled.csv").exists()
    assert 0 == main(["evaluate", str(folder), "--number"])
    monkeypatch.setenv("FLASKAPI_DATABASE_URL", f"sqlite:///{tmp_path}/other.db")
    assert 0 == main(["import", str(folder), "--number"])
    assert ["12", "124", "7", "none"] == sorted(
        label for _, label in labels_by_image(f"sqlite:///{tmp_path}/other.db")
    )


def test_what_is_no_png_becomes_one_and_only_what_was_asked_for_is_written(
    store: Database, tmp_path: Path
) -> None:
    def at(day: int) -> UUID:
        return first_id(datetime(2026, 11, day, tzinfo=UTC))

    jpeg = encode(draw_digit(7, side=56), "JPEG")
    keep(
        store,
        *({"id": at(day), "image": jpeg, "media_type": "image/jpeg"} for day in (20, 21, 22)),
        labelled("7", jpeg, id=at(23)),
    )
    for options, days in (
        (["--since", "2026-11-21", "--until", "2026-11-22"], [21]),
        (["--since", "2026-11-22T01:00+01:00"], [22, 23]),
        (["--labelled"], [23]),
    ):
        folder = tmp_path / "-".join(["of", *options])
        assert 0 == main(["export", str(folder), *options])
        assert [f"{at(day)}.png" for day in days] == sorted(
            path.name for path in folder.glob("*.png")
        )
        assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.glob("*.png"))


def test_what_became_a_png_is_known_where_it_was_sent_and_new_elsewhere(
    store: Database,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Else a picture could be learned from as one file and judged by as the other."""
    jpeg = encode(draw_digit(7, side=56), "JPEG")
    keep(store, labelled("7", jpeg, media_type="image/jpeg"))
    folder = tmp_path / "exported"
    assert 0 == main(["export", str(folder)])
    assert 0 == main(["import", str(folder)])
    assert (
        "Kept 0 images with their labels, labelled 0 that were kept; 1 were there already"
        in capsys.readouterr().out
    )

    table = folder / "labels.csv"
    table.write_text(table.read_text().replace(".png,7,", ".png,1,"))
    assert 0 == main(["import", str(folder)])
    assert [(hashlib.sha256(jpeg).hexdigest(), "1")] == labels_by_image(url), (
        "another label is one of the same submission"
    )

    monkeypatch.setenv("FLASKAPI_DATABASE_URL", f"sqlite:///{tmp_path}/other.db")
    for expected in ("Kept 1 images", "Kept 0 images"):
        assert 0 == main(["import", str(folder)])
        assert expected in capsys.readouterr().out
    png = next(folder.glob("*.png")).read_bytes()
    assert [(hashlib.sha256(png).hexdigest(), "1")] == labels_by_image(
        f"sqlite:///{tmp_path}/other.db"
    )


def test_labels_that_were_filled_in_are_those_of_what_is_there(
    store: Database, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is kept is labelled, not doubled; what nobody filled in stays without a label."""
    pictures = [encode(draw_digit(digit, side=56), "JPEG") for digit in (1, 2, 3)]
    ids = keep(store, *({"image": one, "media_type": "image/jpeg"} for one in pictures))
    folder = tmp_path / "exported"
    assert 0 == main(["export", str(folder), "--unlabelled", "--original"])
    assert pictures == [(folder / f"{one}.jpg").read_bytes() for one in ids]
    assert not (folder / "labels.csv").exists()
    table = folder / "unlabelled.csv"
    rows = table.read_text().splitlines(keepends=True)
    rows[1:3] = [rows[1].replace("jpg,,", "jpg,1,"), rows[2].replace("jpg,,", "jpg,none,")]
    table.write_text("".join(rows))
    for expected in ("labelled 2 that were kept; 0 were", "labelled 0 that were kept; 2 were"):
        assert 0 == main(["import", str(folder)])
        assert f"Kept 0 images with their labels, {expected}" in capsys.readouterr().out
    assert {str(one): label for one, label in zip(ids, ["1", "none", None], strict=True)} == (
        labels_by_id(url)
    )


def test_an_image_that_is_there_without_a_label_gets_the_one_of_the_table(
    store: Database, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is known by its bytes where a table names no id."""
    png = encode(draw_digit(7, side=56))
    first, second, other = keep(store, {"image": png}, {"image": png}, {"image": png[:-1] + b"x"})
    (tmp_path / "7.png").write_bytes(png)
    (tmp_path / "labels.csv").write_text("file,label\n7.png,7\n")
    for expected in ("labelled 1 that were kept; 0 were", "labelled 0 that were kept; 1 were"):
        assert 0 == main(["import", str(tmp_path)])
        assert expected in capsys.readouterr().out
    assert {str(first): "7", str(second): "7", str(other): None} == labels_by_id(url)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("table", "status", "said"),
    [
        ("file,label,id\n7.png,7,{number}\n", 1, "label it with 'number'"),
        ("file,label,id\n7.png,7,no id\n", 0, "Kept 1 images"),
        ("file,label,id\n7.png,7,00000000-0000-0000-0000-000000000001\n", 0, "Kept 1 images"),
        ("file,label\n7.png,seven\n", 1, "the label is 'seven'"),
        ("label\n7\n", 1, "expected the columns file and label"),
        ("", 1, "expected the columns file and label"),
        ("file,label\n7.png,\n", 1, "expected a folder with images and a labels.csv"),
    ],
)
def test_a_table_that_is_filled_in_otherwise_is_told_by_its_fault(
    store: Database,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    table: str,
    status: int,
    said: str,
) -> None:
    (number,) = keep(store, {"image": b"x", "lines": ["7"], **NUMBER})
    (tmp_path / "7.png").write_bytes(encode(draw_digit(7, side=56)))
    (tmp_path / "unlabelled.csv").write_text(table.format(number=number))
    assert status == main(["import", str(tmp_path)])
    printed = capsys.readouterr()
    assert said in printed.out + printed.err


@pytest.mark.parametrize("sha256", ["", "of another kind", "abc", "00" * 32])
def test_a_column_of_that_name_that_names_no_image_changes_nothing(
    store: Database, url: str, tmp_path: Path, sha256: str
) -> None:
    png = encode(draw_digit(7, side=56))
    (tmp_path / "7.png").write_bytes(png)
    (tmp_path / "labels.csv").write_text(f"file,label,sha256\n7.png,7,{sha256}\n")
    assert 0 == main(["import", str(tmp_path)])
    assert [(hashlib.sha256(png).hexdigest(), "7")] == labels_by_image(url)


def test_an_export_writes_into_no_folder_that_holds_something(
    store: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "labels.csv").write_text("mine")
    assert 1 == main(["export", str(tmp_path / "full")])
    assert "there is something in it" in capsys.readouterr().err
    assert "mine" == (tmp_path / "full" / "labels.csv").read_text()


def test_an_export_that_is_broken_off_leaves_whole_images_and_no_table(
    store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the third image, as Ctrl-C does it; and an image that cannot be made a PNG is named, and
    the others are written.
    """
    ids = keep(
        store,
        {"image": encode(draw_digit(1, side=56))},
        {"image": b"damaged", "media_type": "image/gif"},
        {"image": encode(draw_digit(2, side=56))},
    )

    def break_off(store: Any, id: UUID) -> Any:
        if id == ids[2]:
            raise KeyboardInterrupt
        return get_submission(store, id)

    with monkeypatch.context() as patch:
        patch.setattr(exchange, "get_submission", break_off)
        assert 130 == main(["export", str(tmp_path / "broken")])
    assert [f"{ids[0]}.png"] == [path.name for path in (tmp_path / "broken").iterdir()]
    assert 1 == main(["export", str(tmp_path / "whole")])
    assert [f"{ids[0]}.png", f"{ids[2]}.png"] == [
        row["file"] for row in read_table(tmp_path / "whole" / "unlabelled.csv")
    ]


@pytest.mark.parametrize("form", ["folder", "label-studio"])
def test_an_export_goes_on_where_an_image_is_lost_and_says_so(
    store: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    form: str,
) -> None:
    place = tmp_path / "pictures"
    monkeypatch.setenv("FLASKAPI_PICTURES", str(place))
    monkeypatch.setenv("FLASKAPI_PICTURES_ABOVE_BYTES", "0")
    store.pictures = open_pictures(str(place), 0)
    pictures = [encode(draw_digit(digit)) for digit in (1, 2, 3)]
    ids = [keep(store, {"image": picture})[0] for picture in pictures]
    gone, damaged, _ = sorted(path for path in place.rglob("*") if path.is_file())
    gone.unlink()
    damaged.write_bytes(b"another")
    folder = tmp_path / "exported"
    assert 3 == main(["export", str(folder), "--format", form])
    said = capsys.readouterr()
    assert f"{ids[0]}: The image {gone.relative_to(place)} outside the database is m" in said.err
    assert f"{ids[1]}: The image {damaged.relative_to(place)} outside the database is d" in said.err
    assert "0 labelled and 1 other images" in said.out
    assert "2 are not there" in said.out
    written = {"folder": "unlabelled.csv", "label-studio": "tasks.json"}[form]
    assert str(ids[2]) in (folder / written).read_text()


def test_an_import_names_each_file_that_gets_no_answer_and_keeps_the_others(
    store: Database, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "7.png").write_bytes(encode(draw_digit(7, side=56)))
    (folder / "blank.png").write_bytes(encode(draw_digit(7, side=56) * 0))
    (folder / "words.png").write_text("words")
    (folder / "labels.csv").write_text("file,label\nblank.png,\nwords.png,3\n7.png,7\n")
    assert 1 == main(["import", str(folder)])
    said = capsys.readouterr()
    assert (
        "Kept 1 images with their labels, labelled 0 that were kept; 0 were there already, 2 got "
        "no answer." in said.out
    )
    assert ["error: blank.png", "error: words.png"] == sorted(
        line[: line.index(".png") + 4] for line in said.err.splitlines()
    )
    assert ["7"] == [label for _, label in labels_by_image(url)]


def test_what_cannot_be_done_is_said(
    store: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert 1 == main(["import", "none"])
    assert "expected a folder with images and a labels.csv" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["export", "none", "--since", "yesterday"])
    assert "expected a date, such as 2026-11-22" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
