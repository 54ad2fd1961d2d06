"""Asks a running service for the number in a picture and draws the boxes: `boxes.py PICTURE OUT.jpg
[URL]`.
"""

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import numpy as np

RED, WIDTH_PX = (40, 40, 220), 800


def main(picture: str, out: str, url: str = "http://127.0.0.1:8000") -> None:
    """Draw over each digit what it was read as, red, on the picture reduced to 800 pixels
    across.
    """
    data = Path(picture).read_bytes()
    request = urllib.request.Request(
        url + "/predict/number", data, {"Content-Type": "application/octet-stream"}
    )
    try:
        with urllib.request.urlopen(request) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        sys.exit(f"error: {json.load(error)['detail']}")
    except urllib.error.URLError as error:
        sys.exit(
            f"error: no service answers at {url}: {error.reason}. `make run` starts one; where it "
            f"is elsewhere, say so as the third argument: boxes.py {picture} {out} URL"
        )
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    scale = min(1, WIDTH_PX / image.shape[1])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    for digit in answer["digits"]:
        x, y, width, height = (
            round(scale * digit["box"][side]) for side in ("x", "y", "width", "height")
        )
        cv2.rectangle(image, (x, y), (x + width, y + height), RED, 2, cv2.LINE_AA)
        cv2.putText(
            image,
            str(digit["digit"]),
            (x, y - 6),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.7,
            RED,
            2,
            cv2.LINE_AA,
        )
    cv2.imwrite(out, image)
    print(answer["number"], "uncertain" if answer["uncertain"] else "")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
