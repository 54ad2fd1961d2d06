"""What strange files do to a process: each is sent to a fresh one, which tells its answer, time and
peak memory.
"""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

PROGRAM = """
import sys, tempfile, time
from flaskapi import create_app
client = create_app({"INSTANCE_PATH": tempfile.mkdtemp()}).test_client()
data = open(sys.argv[1], "rb").read()
started = time.perf_counter()
answer = client.post("/predict", data=data, content_type="application/octet-stream")
seconds = time.perf_counter() - started
document = answer.get_json(force=True)
status = open("/proc/self/status").read()
peak = int(status.partition("VmHWM:")[2].split()[0]) / 1000
said = document.get("detail") or document.get("digit")
print(f"{answer.status_code} {seconds:6.3f} s {peak:5.0f} MB  {said}")
"""


def main(folder: Path) -> None:
    """Print a line for each file of a folder, and for the largest of each kind that the limits let
    through.
    """
    with tempfile.TemporaryDirectory() as made:
        for path in [*sorted(folder.iterdir()), *_largest(Path(made))]:
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM, str(path)],
                capture_output=True,
                text=True,
                check=False,
            )
            print(f"{path.name:40}{(done.stdout or done.stderr[-300:]).strip()}", flush=True)


def _largest(folder: Path) -> list[Path]:
    """Pictures of just under 25 million pixels, in the modes that take most memory."""
    side = 4990
    ramp = np.add.outer(np.arange(side), np.arange(side))
    pictures = {
        "largest-rgba.png": Image.merge(
            "RGBA", [Image.fromarray((ramp // 64).astype(np.uint8))] * 4
        ),
        "largest-16-bit.png": Image.fromarray((ramp * 5).astype(np.uint16)),
        "largest-float.tif": Image.fromarray(ramp.astype(np.float32)),
        "largest-cmyk.tif": Image.merge(
            "CMYK", [Image.fromarray((ramp // 64).astype(np.uint8))] * 4
        ),
    }
    paths = []
    for name, picture in pictures.items():
        options = (
            {"compression": "tiff_adobe_deflate"} if name.endswith("tif") else {"compress_level": 1}
        )
        buffer = io.BytesIO()
        picture.save(buffer, "TIFF" if name.endswith("tif") else "PNG", **options)
        paths.append(folder / name)
        paths[-1].write_bytes(buffer.getvalue())
    jpeg = folder / "largest-progressive.jpg"
    Image.merge("RGB", [Image.fromarray((ramp // 64).astype(np.uint8))] * 3).save(
        jpeg, progressive=True, subsampling=0
    )
    return [*paths, jpeg]
