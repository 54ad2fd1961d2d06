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
        f"Wrote {len(names)} pictures under {len(CONDITIONS)} conditions each: python -m flaskapi "
        f"evaluate {target}/*"
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


CONDITIONS: dict[str, Callable[[Image, np.random.Generator], bytes]] = {
    "as-it-is": lambda image, _: _png(image),
    "light-falls-to-60": lambda image, _: _png(_light(image, 0.6)),
    "light-falls-to-30": lambda image, _: _png(_light(image, 0.3)),
    "half-in-shadow-of-30": lambda image, _: _png(_shaded(image, 0.3)),
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
