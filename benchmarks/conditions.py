"""Labelled pictures as they would be in other light, size, ink or paper: folders to measure with
`evaluate`.
"""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
SEED = 20
LARGEST_PX = 1200  # a larger picture is reduced to it first


def main(folder: Path, target: Path) -> None:
    """Write the pictures of a folder under each condition, the same every time, with the labels as
    they are.
    """
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    for condition in CONDITIONS:
        (target / condition).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / "labels.csv", target / condition / "labels.csv")
    rng = np.random.default_rng(SEED)
    for name in names:
        image = _read(folder / name)
        for condition, change in CONDITIONS.items():
            (target / condition / name).write_bytes(change(image, rng))
    print(
        f"Wrote {len(names)} pictures under {len(CONDITIONS)} conditions each: "
        f".venv/bin/python -m flaskapi evaluate {target}/*"
    )


def _read(path: Path) -> Image:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit(f"error: {path}: not a picture")
    return _scale(image, min(1, LARGEST_PX / max(image.shape)))  # type: ignore[arg-type]  # OpenCV's type has any numbers


def _scale(image: Image, by: float) -> Image:
    size = (max(1, round(image.shape[1] * by)), max(1, round(image.shape[0] * by)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if by < 1 else cv2.INTER_CUBIC)  # type: ignore[return-value]


def _paper(image: Image) -> npt.NDArray[np.floating]:
    """The colour of most of the edge."""
    return np.asarray(
        np.median(np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]), axis=0)
    )


def _png(image: npt.NDArray[np.number]) -> bytes:
    return cv2.imencode(".png", np.clip(np.rint(image), 0, 255).astype(np.uint8))[1].tobytes()


def _light(image: Image, falls_to: float) -> npt.NDArray[np.floating]:
    """From one side, and half as much from above."""
    across, down = (
        np.linspace(least, 1, side)
        for least, side in ((falls_to, image.shape[1]), ((1 + falls_to) / 2, image.shape[0]))
    )
    return image * (down[:, np.newaxis] * across)[..., np.newaxis]


def _shaded(image: Image, falls_to: float) -> npt.NDArray[np.floating]:
    """A soft edge, a fifth of the width, runs down the middle."""
    across = np.linspace(-1, 1, image.shape[1])
    return image * (falls_to + (1 - falls_to) / (1 + np.exp(10 * across)))[:, np.newaxis]


def _boxed(image: Image) -> Image:
    """A third more paper around, and on it a box, dark on light paper and light on dark."""
    image = _scale(image, max(1, round(112 / max(image.shape))))
    more, paper = max(image.shape) // 3, _paper(image)
    page = cv2.copyMakeBorder(
        image, more, more, more, more, cv2.BORDER_CONSTANT, value=paper.tolist()
    )
    corners = (more // 3, more // 3), (page.shape[1] - more // 3, page.shape[0] - more // 3)
    ink = 255.0 if paper.mean() < 128 else 0.0
    cv2.rectangle(page, *corners, (ink, ink, ink), max(1, more // 20))
    return page  # type: ignore[return-value]


def _turned(image: Image, degrees: float) -> Image:
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return cv2.warpAffine(
        image, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )  # type: ignore[return-value]


def _shadow_edge(image: Image, falls_to: float, soft: float) -> npt.NDArray[np.floating]:
    """A slanting, curved edge through the middle; how soft it is, as a share of the width."""
    height, width = image.shape[:2]
    down, across = np.mgrid[:height, :width]
    edge = width / 2 + 0.3 * (down - height / 2) + (down - height / 2) ** 2 / (2 * height)
    rises = np.clip(4 * (across - edge) / max(soft * width, 0.5), -60, 60)
    return image * (falls_to + (1 - falls_to) / (1 + np.exp(-rises)))[..., np.newaxis]


def _inked(
    image: Image, lines: npt.NDArray[np.number], strength: float
) -> npt.NDArray[np.floating]:
    """Draw lines, 1 where they are, of that strength: dark on light paper, and light on dark."""
    ink = 255.0 if _paper(image).mean() < 128 else 0.0
    return image + (ink - image) * (strength * lines)[..., np.newaxis]


def _ruled(image: Image, *, squared: bool) -> npt.NDArray[np.floating]:
    """Lines an eighth of the picture apart, or squares, turned by two degrees."""
    image = _scale(image, max(1, round(112 / max(image.shape))))
    height, width = image.shape[:2]
    lines = np.zeros((3 * height, 3 * width), np.uint8)
    step, thick = max(image.shape) // 8, max(1, max(image.shape) // 150)
    for place in range(step // 2, max(lines.shape), step):
        cv2.line(lines, (0, place), (lines.shape[1], place), 1, thick)
        if squared:
            cv2.line(lines, (place, 0), (place, lines.shape[0]), 1, thick)
    turned = _turned(lines, 2)[height : 2 * height, width : 2 * width]
    return _inked(image, turned, 0.35)


def _with_pieces_of_a_frame(image: Image) -> npt.NDArray[np.floating]:
    """A tenth more paper around, and on it two sides of a printed frame."""
    image = _scale(image, max(1, round(56 / max(image.shape))))
    more, paper = max(2, max(image.shape) // 10), _paper(image)
    page: Image = cv2.copyMakeBorder(  # type: ignore[assignment]
        image, more, more, more, more, cv2.BORDER_CONSTANT, value=paper.tolist()
    )
    height, width = page.shape[:2]
    lines, thick = np.zeros((height, width), np.uint8), max(1, more // 3)
    cv2.line(lines, (0, more // 3), (width, more // 2), 1, thick)
    cv2.line(lines, (width - more // 2, 0), (width - more // 3, height), 1, thick)
    return _inked(page, lines, 0.8)


def _pencilled(image: Image) -> npt.NDArray[np.floating]:
    """A third of the contrast, in a dark printed frame."""
    faint = _paper(image) + (image - _paper(image)) / 3
    return _with_pieces_of_a_frame(np.clip(np.rint(faint), 0, 255).astype(np.uint8))


def _on_a_desk(image: Image) -> Image:
    """On a dark desk, half as wide again around it, turned by five degrees."""
    if _paper(image).mean() < 128:
        image = 255 - image  # type: ignore[assignment]
    image = _scale(image, max(1, round(112 / max(image.shape))))
    more = max(image.shape) // 2
    page = cv2.copyMakeBorder(
        image, more, more, more, more, cv2.BORDER_CONSTANT, value=(40, 45, 50)
    )
    turn = cv2.getRotationMatrix2D((page.shape[1] / 2, page.shape[0] / 2), 5, 1)
    return cv2.warpAffine(page, turn, page.shape[1::-1], borderValue=(40, 45, 50))  # type: ignore[return-value]


def _slashed(image: Image) -> npt.NDArray[np.floating]:
    """A third more paper to the right, and on it a slash as high as the picture's middle."""
    height, width = image.shape[:2]
    more = max(3, height // 3)
    page: Image = cv2.copyMakeBorder(  # type: ignore[assignment]
        image, 0, 0, 0, more, cv2.BORDER_CONSTANT, value=_paper(image).tolist()
    )
    lines = np.zeros(page.shape[:2], np.uint8)
    start, end = (width + more // 4, int(0.9 * height)), (width + 3 * more // 4, int(0.1 * height))
    cv2.line(lines, start, end, 1, max(1, height // 20))
    return _inked(page, lines, 0.8)


CONDITIONS: dict[str, Callable[[Image, np.random.Generator], bytes]] = {
    "as-it-is": lambda image, _: _png(image),
    "light-falls-to-60": lambda image, _: _png(_light(image, 0.6)),
    "light-falls-to-30": lambda image, _: _png(_light(image, 0.3)),
    "half-in-shadow-of-30": lambda image, _: _png(_shaded(image, 0.3)),
    "shadow-edge-of-50": lambda image, _: _png(_shadow_edge(image, 0.5, 0.0)),
    "shadow-edge-of-30-soft": lambda image, _: _png(_shadow_edge(image, 0.3, 0.1)),
    "pieces-of-a-frame": lambda image, _: _png(_with_pieces_of_a_frame(image)),
    "pencil-in-a-frame": lambda image, _: _png(_pencilled(image)),
    "ruled-paper": lambda image, _: _png(_ruled(image, squared=False)),
    "squared-paper": lambda image, _: _png(_ruled(image, squared=True)),
    "on-a-desk": lambda image, _: _png(_on_a_desk(image)),
    "with-a-slash": lambda image, _: _png(_slashed(image)),
    "in-a-box": lambda image, _: _png(_boxed(image)),
    "enlarged-4-times": lambda image, _: _png(_scale(image, 4)),
    "reduced-to-20-pixels": lambda image, _: _png(_scale(image, min(1, 20 / max(image.shape)))),
    "turned-10-degrees": lambda image, _: _png(_turned(image, 10)),
    "a-third-of-the-contrast": lambda image, _: _png(_paper(image) + (image - _paper(image)) / 3),
    "grain-of-8-levels": lambda image, rng: _png(image + rng.normal(0, 8, image.shape)),
    "inverted": lambda image, _: _png(255 - image),
    "jpeg-quality-30": lambda image, _: cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])[
        1
    ].tobytes(),
}
