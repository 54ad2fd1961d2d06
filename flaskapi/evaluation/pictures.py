"""A page of pictures in groups, each with its caption."""

from collections.abc import Sequence
from typing import NamedTuple

import jinja2

from flaskapi.digits.encode import data_url

SHOWN = 200  # pictures of each group


class Picture(NamedTuple):
    """A PNG file and its caption."""

    png: bytes
    caption: str


class Gallery(NamedTuple):
    """Pictures that belong together, and a sentence on what they have in common."""

    title: str
    meaning: str
    pictures: list[Picture]


def load_template(name: str) -> jinja2.Template:
    """Load the template of a page. It escapes all text that senders wrote."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("flaskapi.evaluation", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def render_pictures(title: str, text: str, galleries: Sequence[Gallery]) -> str:
    """Write the page as one file, which contains the pictures.

    Args:
        title: its heading.
        text: lines that are shown above the pictures as they are.
        galleries: the groups.
    """
    return load_template("pictures.html").render(
        title=title, text=text, galleries=galleries, most=SHOWN, data_url=data_url
    )
