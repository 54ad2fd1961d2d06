"""An evaluation as a person reads it: a table, the details of a set, and a page that needs nothing
beside itself.
"""

import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from fakes import draw_digit, encode
from PIL import Image as Pillow

from flaskapi.digits.encode import data_url, encode_png
from flaskapi.evaluation.ask import Answered
from flaskapi.evaluation.labelled import LabelledImage
from flaskapi.evaluation.measures import Bin, DigitEvaluation, NumberEvaluation, Outcome, together
from flaskapi.evaluation.report import (
    NUMBER_SIDE_PX,
    REJECTED,
    SHOWN_MISTAKES,
    SHOWN_PICTURES,
    THUMBNAIL_SIDE_PX,
    Mistake,
    describe,
    detail,
    draw_mistakes,
    find_pictures,
    reliability_svg,
    render_html,
    summarize,
    tabulate,
)
from flaskapi.reading.number import Box

SEEN = encode_png(draw_digit(7, side=28, dark_on_light=False))
SENT = encode(draw_digit(7))
RIGHT = Outcome("right.png", "7", "7", 0.9, False)
WRONG = Outcome("wrong.png", "1", "7", 0.95, False)
UNSURE = Outcome("unsure.png", "1", "7", 0.5, True)
UNREAD = Outcome("unread.png", "3", None, problem="The image is blank.")
LETTER = Outcome("letter.png", None, "7", 0.85, False)
BLANK = Outcome("blank.png", None, None, problem="The image is blank.")
SETS = {
    "paper": DigitEvaluation([RIGHT, WRONG]),
    "screen": DigitEvaluation([RIGHT, RIGHT]),
    "letters": DigitEvaluation([LETTER, BLANK]),
}


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


def test_of_none_that_were_certain_no_share_was_wrong() -> None:
    assert "-" == tabulate({"paper": DigitEvaluation([UNSURE])})["paper"]["wrong of certain"]


def test_where_no_set_has_digits_the_summary_has_no_columns() -> None:
    assert ["letters 2 not digits, 50.00% left uncertain or found to be none"] == [
        " ".join(line.split()) for line in summarize({"letters": SETS["letters"]}).splitlines()
    ]


def test_files_that_were_refused_are_counted_where_there_are_any() -> None:
    damaged = [
        Outcome("damaged.png", label, None, problem="Not an image.", refused=True)
        for label in ("3", None)
    ]
    table = [
        " ".join(line.split())
        for line in summarize({"paper": DigitEvaluation([RIGHT, *damaged, BLANK])}).splitlines()
    ]
    assert "set digits right wrong refused uncertain wrong of certain calibration error" == table[0]
    assert "paper 2 50.00% 1 1 50.00% 0.00% 10.00%" == table[1]
    assert "paper 2 not digits, 50.00% left uncertain or found to be none, 1 refused" == table[2]
    assert "was a 3, refused: Not an image." == describe(damaged[0])
    page = render_html("", {"paper": DigitEvaluation([RIGHT, *damaged, BLANK])}, {"paper": []})
    assert "50.00%, 1 refused" in " ".join(page.split())
    assert "refused" not in summarize(SETS)


def test_the_columns_have_the_same_names_on_the_terminal_on_the_page_and_in_the_documentation() -> (
    None
):
    refused = Outcome("damaged.png", "3", None, problem="Not an image.", refused=True)
    documentation = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")
    for sets in (
        {"paper": DigitEvaluation([refused, LETTER])},
        {"paper": NumberEvaluation([refused, LETTER])},
    ):
        page, text = render_html("", sets, {"paper": []}), summarize(sets)
        for column in (*tabulate(sets)["paper"], f"not {sets['paper'].of}", REJECTED):
            assert f"<th>{column}" in page
            assert column in text
            assert f"| {column} |" in documentation or column in (
                "digits",
                "numbers",
                "not numbers",
            )


def test_of_a_digit_that_is_not_there_nothing_is_said() -> None:
    lines = detail(DigitEvaluation([RIGHT, WRONG])).splitlines()
    assert "0: -  1: 0.0%  2: -  3: -  4: -  5: -  6: -  7: 100.0%  8: -  9: -" == lines[1].strip()
    assert "by digit" not in detail(DigitEvaluation([LETTER]))


def test_of_numbers_lines_digit_errors_and_lengths_are_shown() -> None:
    sets = {
        "slips": NumberEvaluation(
            [Outcome("a.png", "12|3", "123", 0.9, False), Outcome("b.png", "12", "17", 0.6, True)]
        )
    }
    assert [
        "set numbers right lines too digit errors wrong uncertain wrong of certain calibration "
        "error",
        "slips 2 50.00% 0.00% 20.00% 1 50.00% 0.00% 35.00%",
    ] == [" ".join(line.split()) for line in summarize(sets).splitlines()]
    text = detail(sets["slips"])
    assert "Right, by length:\n  2: 0.0%  3: 100.0%\n" in text
    assert "was 12, said 17 with 60.0% (uncertain)" in text
    assert "said (across)" not in text
    page = render_html("", sets, {"slips": [Mistake(sets["slips"].mistakes[0], SENT, b"")]})
    assert "Right, by length" in page
    assert "a box around each digit" in page
    assert "said (across)" not in page


def test_the_detail_names_the_worst_mistakes_the_surest_first() -> None:
    outcomes = [
        Outcome(f"{percent}.png", "1", "7", percent / 100, False)
        for percent in range(50, 50 + SHOWN_MISTAKES + 2)
    ]
    lines = detail(DigitEvaluation([RIGHT, *outcomes])).splitlines()
    named = [f"{percent}.png" for percent in range(51 + SHOWN_MISTAKES, 51, -1)]
    assert f"The surest of {SHOWN_MISTAKES + 2} mistakes:" == lines[-SHOWN_MISTAKES - 1]
    assert named == [line.split()[-1] for line in lines[-SHOWN_MISTAKES:]]
    words = Outcome(
        "file.png", "1", None, problem="A sentence that is much longer than the column is wide."
    )
    assert "  file.png" == detail(DigitEvaluation([words])).splitlines()[-1][-10:], (
        "a gap, however much was said"
    )


def test_the_detail_shows_each_digit_that_there_was_and_what_was_said() -> None:
    lines = [
        line.split() for line in detail(DigitEvaluation([RIGHT, WRONG, UNREAD, BLANK])).splitlines()
    ]
    table = [line for line in lines if len(line) == 12]
    assert ["1", "3", "7", "none"] == [was for was, *_ in table]
    assert {"1": {7: "1"}, "3": {10: "1"}, "7": {7: "1"}, "none": {10: "1"}} == {
        was: {said: count for said, count in enumerate(counts) if count != "."}
        for was, *counts in table
    }
    assert "mistakes" not in detail(DigitEvaluation([RIGHT, BLANK]))


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (WRONG, "was a 1, said 7 with 95.0%"),
        (UNSURE, "was a 1, said 7 with 50.0% (uncertain)"),
        (UNREAD, "was a 3, said The image is blank."),
        (LETTER, "was no digit, said 7 with 85.0%"),
        (Outcome("", "3", None), "was a 3, said none"),
    ],
)
def test_an_answer_is_said_in_words(outcome: Outcome, words: str) -> None:
    assert words == describe(outcome)


def test_pictures_are_the_surest_mistakes_reduced_with_what_the_network_saw() -> None:
    answers = [
        Answered(UNREAD, b""),
        Answered(RIGHT, SEEN),
        Answered(WRONG, SEEN),
        Answered(LETTER, SEEN),
    ]
    images = [LabelledImage(answer.outcome.name, "0", lambda: SENT) for answer in answers]
    images[0] = images[0]._replace(read=lambda: b"I am no image.")
    pictures = find_pictures(images, answers)
    assert [(WRONG, SEEN), (LETTER, SEEN), (UNREAD, b"")] == [
        (picture.outcome, picture.normalized) for picture in pictures
    ]
    assert (THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX) == decode(pictures[0].sent).size
    assert b"" == pictures[-1].sent


def test_a_picture_of_a_number_shows_its_boxes_where_they_were_in_what_was_sent() -> None:
    """They are in pixels of the picture as sent, which is reduced here to a quarter."""
    sent = encode(np.full((800, 1600), 255, np.uint8))
    answer = Answered(Outcome("a.png", "12", "17"), boxes=(Box(400, 80, 200, 400),))
    [picture] = find_pictures([LabelledImage("a.png", "12", lambda: sent)], [answer], numbers=True)
    pixels = np.asarray(decode(picture.sent).convert("RGB")).astype(int)
    rows, columns = np.nonzero(pixels[:, :, 0] - pixels[:, :, 1] > 100)
    assert (NUMBER_SIDE_PX // 2, NUMBER_SIDE_PX, 3) == pixels.shape
    assert (100, 150, 20, 120) == (columns.min(), columns.max(), rows.min(), rows.max())
    assert 255 == pixels[60, 125].min(), "only its edge is drawn"


def test_a_page_does_not_grow_without_end() -> None:
    count = SHOWN_PICTURES + 1
    answers = [Answered(WRONG._replace(confidence=place / count), SEEN) for place in range(count)]
    pictures = find_pictures([LabelledImage("", "1", lambda: b"I am no image.")] * count, answers)
    assert [answer.outcome for answer in reversed(answers[1:])] == [
        picture.outcome for picture in pictures
    ]
    assert f"The first {SHOWN_PICTURES} are shown." in render_html(
        "", {"many": DigitEvaluation([answer.outcome for answer in answers])}, {"many": pictures}
    )


def test_a_page_holds_the_pictures_of_each_mistake_and_a_plot() -> None:
    page = render_html(
        "Evaluation",
        SETS,
        {
            "paper": [Mistake(WRONG, SENT, SEEN)],
            "screen": [],
            "letters": [Mistake(LETTER, SENT, b"")],
        },
    )
    assert (2, 1) == (page.count(data_url(SENT)), page.count(data_url(SEEN)))
    assert all(f"{outcome.name}: {describe(outcome)}" in page for outcome in (WRONG, LETTER))
    assert [1, 1, 0] == [section.count("<svg") for section in page.split("<h2 ")[1:]], (
        "letters have no accuracy to plot"
    )
    assert [False, True, False] == ["No mistakes." in section for section in page.split("<h2 ")[1:]]
    assert "http" not in page, "it needs nothing beside itself"
    assert [1, 1, 0] == [section.count("Right, by digit") for section in page.split("<h2 ")[1:]]


def test_the_page_has_a_row_of_all_sets_together_without_a_section_of_its_own() -> None:
    page = render_html("", SETS, {name: [] for name in SETS}, together(SETS))
    assert 1 == page.count("all together")
    assert [*SETS] == re.findall(r'<h2 id="set-\d">(\w+)</h2>', page)


def test_names_and_texts_from_elsewhere_do_not_become_part_of_the_page() -> None:
    hostile = "<script>.png"
    outcome = Outcome(hostile, "1", None, problem=hostile)
    page = render_html(
        hostile, {hostile: DigitEvaluation([outcome])}, {hostile: [Mistake(outcome, b"", b"")]}
    )
    assert "<script" not in page
    assert page.count("&lt;script&gt;.png") >= 6, "title, heading, link, section, name and problem"


def test_the_plot_has_a_dot_where_each_bin_is_larger_for_more_answers() -> None:
    svg = ElementTree.fromstring(
        reliability_svg([Bin(0, 0, 0), Bin(1, 0.5, 0.0), Bin(4, 1.0, 1.0)])
    )
    dots = [
        {name: float(circle.attrib[name]) for name in ("cx", "cy", "r")}
        for circle in svg.iter("circle")
    ]
    assert [(120, 240), (240, 0)] == [(dot["cx"], dot["cy"]) for dot in dots]
    assert dots[0]["r"] < dots[1]["r"]
    assert not list(ElementTree.fromstring(reliability_svg([])).iter("circle"))


def test_misread_digits_are_drawn_and_what_was_right_or_never_read_is_not() -> None:
    one, two, eleven = (
        decode(draw_mistakes([Answered(WRONG, SEEN)] * count + [Answered(RIGHT, SEEN)]))
        for count in (1, 2, 11)
    )
    assert one.size == two.size == (eleven.width, eleven.height // 2)
    assert (np.asarray(one) != np.asarray(two)).any()
    assert b"" == draw_mistakes([Answered(RIGHT, SEEN), Answered(UNREAD, b"")])
