"""`python -m flaskapi export --format label-studio`: what was kept, as tasks of Label Studio.

The images are in the tasks, so that there is nothing to serve beside them; what was answered comes
as a prediction, and a label as an annotation. https://labelstud.io/guide/task_format
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from tqdm import tqdm

from flaskapi.commands.exchange.exports import (
    Exported,
    as_evaluated,
    make_folder,
    tell_lost,
    to_png,
    whole,
)
from flaskapi.digits.decode import read_layout
from flaskapi.digits.encode import data_url
from flaskapi.labels import NONE
from flaskapi.submissions import Store, Submission
from flaskapi.submissions.exchange import Lost, Wanted, count_wanted, read_wanted

TASKS, CONFIG = "tasks.json", "label_config.xml"
_IMAGE = '<Image name="image" value="$image" zoom="true" zoomControl="true"/>'
_DIGITS = "".join(f'<Choice value="{digit}" hotkey="{digit}"/>' for digit in range(10))
_BOXES = "".join(f'<Label value="{digit}" hotkey="{digit}"/>' for digit in range(10))
DIGIT_CONFIG = f"""<View>
  {_IMAGE}
  <Choices name="digit" toName="image" choice="single" showInline="true" required="true">
    {_DIGITS}<Choice value="{NONE}" hotkey="n"/>
  </Choices>
</View>
"""
NUMBER_CONFIG = f"""<View>
  {_IMAGE}
  <RectangleLabels name="box" toName="image">{_BOXES}</RectangleLabels>
  <TextArea name="number" toName="image" maxSubmissions="1" editable="true" required="true"
    placeholder="the digits, with | between lines; {NONE} where there are none"/>
</View>
"""


def export_tasks(store: Store, folder: Path, wanted: Wanted) -> Exported:
    """Write submissions into a folder: `tasks.json`, and the labelling configuration for them.

    Args:
        folder: is made; one that is there must be empty.

    Raises:
        FlaskapiError: there is something in the folder, or the store cannot be used.
        OSError: it cannot be written into.
    """
    make_folder(folder)
    done = Exported(0, 0, 0, 0)
    with (
        whole(folder / TASKS) as path,
        path.open("w", encoding="utf-8") as file,
        tqdm(total=count_wanted(store, wanted), unit=" images", disable=None) as progress,
    ):
        before = "[\n"
        for one in read_wanted(store, wanted):
            progress.update()
            if isinstance(one, Lost):
                tell_lost(one)
                done = done._replace(lost=done.lost + 1)
                continue
            if wanted.labelled and not one.label:  # it was withdrawn meanwhile
                continue
            if (png := to_png(one)) is None:
                done = done._replace(failed=done.failed + 1)
                continue
            file.write(before + json.dumps(to_task(one, png), separators=(",", ":")))
            before = ",\n"
            kind = "labelled" if one.label else "unlabelled"
            done = done._replace(**{kind: getattr(done, kind) + 1})
        file.write("[]\n" if before == "[\n" else "\n]\n")
        with whole(folder / CONFIG) as config:
            config.write_text(NUMBER_CONFIG if wanted.numbers else DIGIT_CONFIG, encoding="utf-8")
    return done


def to_task(one: Submission, png: bytes) -> dict[str, Any]:
    """Make a task of a submission, whose image is given as PNG."""
    said = [_say(one, as_evaluated(one.label, one.lines))] if one.label else []
    prediction = {
        "model_version": one.model,
        "score": one.confidence,
        "result": [_say(one, as_evaluated(one.prediction, one.lines)), *_boxes(one, png)],
    }
    return {
        "data": {
            "image": data_url(png),
            "submission": str(one.id),
            "received_at": one.received_at.isoformat(),
            "uncertain": one.uncertain,
            "sha256": hashlib.sha256(one.image).hexdigest(),
        },
        "predictions": [prediction],
        "annotations": [{"result": said}] if said else [],
    }


def _say(one: Submission, said: str) -> dict[str, Any]:
    if one.lines is None:
        kind = {"from_name": "digit", "type": "choices", "value": {"choices": [said]}}
    else:
        kind = {"from_name": "number", "type": "textarea", "value": {"text": [said]}}
    return {"to_name": "image"} | kind


def _boxes(one: Submission, png: bytes) -> list[dict[str, Any]]:
    """The boxes of a number's digits, in hundredths of the picture's sides, upright."""
    if not one.digits:
        return []
    width, height, orientation = read_layout(png)
    if orientation > 4:
        width, height = height, width
    return [
        {
            "id": f"digit{place}",
            "from_name": "box",
            "to_name": "image",
            "type": "rectanglelabels",
            "original_width": width,
            "original_height": height,
            "score": digit["confidence"],
            "value": {
                "x": 100 * digit["box"]["x"] / width,
                "y": 100 * digit["box"]["y"] / height,
                "width": 100 * digit["box"]["width"] / width,
                "height": 100 * digit["box"]["height"] / height,
                "rotation": 0,
                "rectanglelabels": [str(digit["digit"])],
            },
        }
        for place, digit in enumerate(one.digits)
    ]
