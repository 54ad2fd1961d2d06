"""README and docs are written in short sentences: at most 25 words by our rule, never over 30."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "deploy/README.md"]
MOST_WORDS = 30
EXCUSED = {  # by how they begin, each with its reason
    "[Two commands](#two-commands)": "a list of links",
    "<img src=": "pictures",
}


def paragraphs(text: str) -> Iterator[str]:
    """Running text: no code, no headings, no tables; an item of a list is a paragraph."""
    lines: list[str] = []
    for line in [*re.sub(r"^```.*?^```", "", text, flags=re.M | re.S).splitlines(), ""]:
        is_item = re.match(r"\s*([-*]|\d+\.) ", line)
        is_other = not line.strip() or line.startswith(("    ", "#", "|"))
        if (is_item or is_other) and lines:
            yield " ".join(lines)
            lines = []
        if is_item:
            lines = [line[is_item.end() :].strip()]
        elif not is_other:
            lines.append(line.strip())


def long_sentences(text: str) -> list[str]:
    """Sentences of more words than are allowed; a full stop, a colon or a question ends one."""
    sentences = (
        sentence
        for paragraph in paragraphs(text)
        for sentence in re.split(r"(?<=[.:?!])\s+", paragraph)
    )
    return [
        sentence
        for sentence in sentences
        if len(sentence.split()) > MOST_WORDS and not sentence.startswith(tuple(EXCUSED))
    ]


def test_a_sentence_is_measured_and_what_is_none_is_not() -> None:
    assert [] == long_sentences("word " * 30 + ".\n\n    " + "code " * 40 + "\n| " + "cell " * 40)
    assert 1 == len(long_sentences("Short.\n" + "word " * 31 + ".\n- " + "word " * 5))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_sentence_is_longer_than_a_reader_can_hold(document: Path) -> None:
    assert [] == long_sentences(document.read_text())
