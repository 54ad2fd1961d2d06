"""An evaluation as a person reads it: a table, the details of a set, and a page that needs nothing beside itself."""

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from fakes import draw_digit, encode
from PIL import Image as Pillow

from flaskapi.digits.encode import data_url, encode_png
from flaskapi.evaluation.ask import Answered
from flaskapi.evaluation.labelled import LabelledImage
from flaskapi.evaluation.measures import Bin, Evaluation, Outcome
from flaskapi.evaluation.report import (
    SHOWN_MISTAKES,
    SHOWN_PICTURES,
    THUMBNAIL_SIDE_PX,
    Picture,
    describe,
    detail,
    draw_mistakes,
    find_pictures,
    reliability_svg,
    render_html,
    summarize,
)

SEEN = encode_png(draw_digit(7, side=28, dark_on_light=False))
SENT = encode(draw_digit(7))
RIGHT = Outcome("right.png", 7, 7, 0.9, False)
WRONG = Outcome("wrong.png", 1, 7, 0.95, False)
UNSURE = Outcome("unsure.png", 1, 7, 0.5, True)
UNREAD = Outcome("unread.png", 3, None, problem="The image is blank.")
LETTER = Outcome("letter.png", None, 7, 0.85, False)
BLANK = Outcome("blank.png", None, None, problem="The image is blank.")
SETS = {"paper": Evaluation([RIGHT, WRONG]), "screen": Evaluation([RIGHT, RIGHT]), "letters": Evaluation([LETTER, BLANK])}


def decode(png: bytes) -> Pillow.Image:
    image = Pillow.open(io.BytesIO(png), formats=["PNG"])
    image.load()
    return image


def test_the_summary_has_a_line_for_the_digits_of_each_set_and_one_for_its_others() -> None:
    assert [
        "paper 2 50.00% 1 0.00% 50.00% 52.50%",
        "screen 2 100.00% 0 0.00% 0.00% 10.00%",
        "letters 2 not digits, 50.00% left uncertain or found to be none",
    ] == [" ".join(line.split()) for line in summarize(SETS).splitlines()[1:]]


def test_the_detail_names_the_worst_mistakes_the_surest_first() -> None:
    outcomes = [Outcome(f"{percent}.png", 1, 7, percent / 100, False) for percent in range(50, 50 + SHOWN_MISTAKES + 2)]
    lines = detail(Evaluation([RIGHT, *outcomes])).splitlines()
    named = [f"{percent}.png" for percent in range(51 + SHOWN_MISTAKES, 51, -1)]
    assert f"The surest of {SHOWN_MISTAKES + 2} mistakes:" == lines[-SHOWN_MISTAKES - 1]
    assert named == [line.split()[-1] for line in lines[-SHOWN_MISTAKES:]]


def test_the_detail_shows_each_digit_that_there_was_and_what_was_said() -> None:
    lines = [line.split() for line in detail(Evaluation([RIGHT, WRONG, UNREAD, BLANK])).splitlines()]
    table = [line for line in lines if len(line) == 12]
    assert ["1", "3", "7", "none"] == [was for was, *_ in table]
    assert {"1": {7: "1"}, "3": {10: "1"}, "7": {7: "1"}, "none": {10: "1"}} == {
        was: {said: count for said, count in enumerate(counts) if count != "."} for was, *counts in table
    }
    assert "mistakes" not in detail(Evaluation([RIGHT, BLANK]))


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (WRONG, "was a 1, said 7 with 95.0%"),
        (UNSURE, "was a 1, said 7 with 50.0% (uncertain)"),
        (UNREAD, "was a 3, said The image is blank."),
        (LETTER, "was no digit, said 7 with 85.0%"),
        (Outcome("", 3, None), "was a 3, said none"),
    ],
)
def test_an_answer_is_said_in_words(outcome: Outcome, words: str) -> None:
    assert words == describe(outcome)


def test_pictures_are_the_surest_mistakes_reduced_with_what_the_network_saw() -> None:
    answers = [Answered(UNREAD, b""), Answered(RIGHT, SEEN), Answered(WRONG, SEEN), Answered(LETTER, SEEN)]
    images = [LabelledImage(answer.outcome.name, 0, lambda: SENT) for answer in answers]
    images[0] = images[0]._replace(read=lambda: b"I am no image.")
    pictures = find_pictures(images, answers)
    assert [(WRONG, SEEN), (LETTER, SEEN), (UNREAD, b"")] == [(picture.outcome, picture.normalized) for picture in pictures]
    assert (THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX) == decode(pictures[0].sent).size
    assert b"" == pictures[-1].sent


def test_a_page_does_not_grow_without_end() -> None:
    count = SHOWN_PICTURES + 1
    answers = [Answered(WRONG._replace(confidence=place / count), SEEN) for place in range(count)]
    pictures = find_pictures([LabelledImage("", 1, lambda: b"I am no image.")] * count, answers)
    assert [answer.outcome for answer in reversed(answers[1:])] == [picture.outcome for picture in pictures]
    assert f"The first {SHOWN_PICTURES} are shown." in render_html(
        "", {"many": Evaluation([answer.outcome for answer in answers])}, {"many": pictures}
    )


def test_a_page_holds_the_pictures_of_each_mistake_and_a_plot() -> None:
    page = render_html("Evaluation", SETS, {"paper": [Picture(WRONG, SENT, SEEN)], "screen": [], "letters": [Picture(LETTER, SENT, b"")]})
    assert (2, 1) == (page.count(data_url(SENT)), page.count(data_url(SEEN)))
    assert all(f"{outcome.name}: {describe(outcome)}" in page for outcome in (WRONG, LETTER))
    assert [1, 1, 0] == [section.count("<svg") for section in page.split("<h2 ")[1:]], "letters have no accuracy to plot"
    assert [False, True, False] == ["No mistakes." in section for section in page.split("<h2 ")[1:]]
    assert "http" not in page, "it needs nothing beside itself"


def test_names_and_texts_from_elsewhere_do_not_become_part_of_the_page() -> None:
    hostile = "<script>.png"
    outcome = Outcome(hostile, 1, None, problem=hostile)
    page = render_html(hostile, {hostile: Evaluation([outcome])}, {hostile: [Picture(outcome, b"", b"")]})
    assert "<script" not in page
    assert page.count("&lt;script&gt;.png") >= 6, "title, heading, link, section, name and problem"


def test_the_plot_has_a_dot_where_each_bin_is_larger_for_more_answers() -> None:
    svg = ElementTree.fromstring(reliability_svg([Bin(0, 0, 0), Bin(1, 0.5, 0.0), Bin(4, 1.0, 1.0)]))
    dots = [{name: float(circle.attrib[name]) for name in ("cx", "cy", "r")} for circle in svg.iter("circle")]
    assert [(120, 240), (240, 0)] == [(dot["cx"], dot["cy"]) for dot in dots]
    assert dots[0]["r"] < dots[1]["r"]
    assert not list(ElementTree.fromstring(reliability_svg([])).iter("circle"))


def test_misread_digits_are_drawn_and_what_was_right_or_never_read_is_not() -> None:
    one, two, eleven = (decode(draw_mistakes([Answered(WRONG, SEEN)] * count + [Answered(RIGHT, SEEN)])) for count in (1, 2, 11))
    assert one.size == two.size == (eleven.width, eleven.height // 2)
    assert (np.asarray(one) != np.asarray(two)).any()
    assert b"" == draw_mistakes([Answered(RIGHT, SEEN), Answered(UNREAD, b"")])
