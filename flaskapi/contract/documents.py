"""What is answered in JSON, member by member, beside what `reading` answers.

These types are for readers and for the description; `schemas.py` makes JSON Schemas of them.
"""

from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

from flaskapi.digits import Noticed
from flaskapi.labels import DIGITS
from flaskapi.reading.predictions import (
    Alternative,
    NumberDigit,
    NumberPrediction,
    Prediction,
)


def _keywords(**keywords: Any) -> tuple[tuple[str, Any], ...]:
    """Keywords of JSON Schema, as an annotation: which must have a hash."""
    return tuple(keywords.items())


UUID = Annotated[str, _keywords(format="uuid")]
MOMENT = Annotated[str, _keywords(format="date-time")]
DAY = Annotated[str, _keywords(format="date")]
SHARE = Annotated[float, _keywords(minimum=0, maximum=1)]
COUNT = Annotated[int, _keywords(minimum=0)]
DATA_URL = Annotated[str, _keywords(pattern="^data:image/(png|jpeg);base64,")]
FREE = dict[str, Any]  # whose members the version of a model decides


class Merged(NamedTuple):
    """Types whose members stand in one document; of two of one name the later holds."""

    name: str
    kinds: tuple[Any, ...]


class Problem(TypedDict):
    """What went wrong (RFC 9457); every error is of this shape."""

    type: Annotated[str, _keywords(format="uri-reference")]
    title: str
    status: Annotated[int, _keywords(minimum=400, maximum=599)]
    detail: str
    request_id: NotRequired[str]


class Receipt(TypedDict):
    """Under which id an image was kept; null where it was not."""

    id: UUID | None


class DigitMore(TypedDict, total=False):
    """What an answer has where it was asked for, or where there is something to say."""

    page: COUNT
    pages: COUNT
    hint: str
    normalized: DATA_URL
    noticed: list[Noticed]
    picture: DATA_URL


class NumberMore(TypedDict, total=False):
    """The same of a number."""

    page: COUNT
    pages: COUNT
    alternatives: list[Alternative]
    passes: bool
    picture: DATA_URL


class Named(TypedDict):
    """One image of many, by the name that its sender gave it."""

    name: str


class Failure(TypedDict):
    """An image of many that could not be read."""

    name: NotRequired[str]
    error: Problem


DIGIT_ANSWER = Merged("DigitAnswer", (Prediction, Receipt, DigitMore))
NUMBER_ANSWER = Merged("NumberAnswer", (NumberPrediction, Receipt, NumberMore))
DIGIT_OF_MANY = Merged("DigitOfMany", (Named, Prediction, Receipt))
NUMBER_OF_MANY = Merged("NumberOfMany", (Named, NumberPrediction, Receipt, NumberMore))


class BatchState(TypedDict):
    """A batch that a worker answers, and how far it is."""

    id: UUID
    state: Literal["requested", "running", "done", "failed"]
    images: COUNT | None
    answered: COUNT
    failed: COUNT
    progress: SHARE | None
    seconds_left: Annotated[float, _keywords(minimum=0)] | None
    requested_at: MOMENT
    heard_at: MOMENT | None
    finished_at: MOMENT | None
    expires_at: MOMENT
    results: str | None
    error: NotRequired[Problem]
    note: NotRequired[str]


class BatchAnswer(TypedDict):
    """Of each image its answer or its error, in the order sent."""

    results: list[Annotated[Any, DIGIT_OF_MANY, NUMBER_OF_MANY, Failure]]
    succeeded: COUNT
    failed: COUNT
    error: NotRequired[Problem]


class LabelInForce(TypedDict):
    """The label that a submission has now, and who gave it."""

    id: UUID
    label: str | None
    label_source: Literal["sender", "operator"] | None
    note: NotRequired[str]


class LabelResult(TypedDict):
    """What became of one label of many."""

    id: UUID
    label: NotRequired[str | None]
    label_source: NotRequired[Literal["sender", "operator"] | None]
    error: NotRequired[Problem]


class LabelResults(TypedDict):
    """What became of each label, in the order sent."""

    results: list[LabelResult]
    succeeded: COUNT
    failed: COUNT


class LabelProgress(TypedDict):
    """How many digits are labelled, and how many uncertain submissions are not."""

    labelled: COUNT
    uncertain: COUNT


class SubmissionRow(TypedDict):
    """A submission as a list has it; of a digit it has `digit`, of a number `number`."""

    id: UUID
    received_at: MOMENT
    route: str
    batch: UUID | None
    digit: NotRequired[Annotated[int, _keywords(minimum=0, maximum=DIGITS - 1)]]
    number: NotRequired[str]
    lines: NotRequired[list[str]]
    confidence: SHARE
    uncertain: bool
    model: str
    label: str | None
    label_source: Literal["sender", "operator"] | None
    image: str
    normalized: str | None


class PastLabelRow(TypedDict):
    """What somebody once said of a submission; null took it back."""

    labelled_at: MOMENT
    label: str | None
    reason: str | None
    source: Literal["sender", "operator"]
    key_name: str | None


class SubmissionMore(TypedDict):
    """What is known of one submission beside what a list has."""

    probabilities: NotRequired[list[SHARE]]
    digits: NotRequired[list[NumberDigit]]
    media_type: str
    size_bytes: COUNT
    ink_share: NotRequired[float]
    stroke_px: NotRequired[float]
    size_px: NotRequired[float]
    contrast: NotRequired[float]
    labels: list[PastLabelRow]


SUBMISSION = Merged("SubmissionAnswer", (SubmissionRow, SubmissionMore))


class SubmissionList(TypedDict):
    """A page of submissions, and the address of the next one."""

    submissions: list[SubmissionRow]
    next: str | None


class ShadowAnswer(TypedDict):
    """What a version in the shadow answered."""

    digit: Annotated[int, _keywords(minimum=0, maximum=DIGITS - 1)]
    confidence: SHARE


class ShadowMore(TypedDict):
    """What a version in the shadow said otherwise."""

    shadow: ShadowAnswer


class DisagreementList(TypedDict):
    """A page of what a version in the shadow answered otherwise."""

    submissions: list[Annotated[Any, Merged("Disagreement", (SubmissionRow, ShadowMore))]]
    next: str | None


class LabelledCounts(TypedDict):
    """Answers whose truth a person said."""

    digits: COUNT
    right: COUNT
    accuracy: SHARE | None
    calibration_error: SHARE | None
    calibration: list[dict[str, float | None]]
    confusion: list[list[COUNT]]
    none: COUNT
    none_uncertain: COUNT


class CountsAnswer(TypedDict):
    """Answers, counted."""

    answers: COUNT
    routes: dict[str, COUNT]
    confidence: SHARE | None
    uncertain: SHARE | None
    labelled: LabelledCounts | None
    shadows: dict[str, dict[str, COUNT]]


class DayCounts(TypedDict):
    """The answers of one day, by version."""

    day: DAY
    models: dict[str, CountsAnswer]


class DriftAnswer(TypedDict):
    """How far what is sent is from what the network learned from, by measure."""

    reference: str
    measures: dict[str, FREE]


class StatisticsAnswer(TypedDict):
    """Counts, accuracy, calibration and drift of some days."""

    since: DAY
    until: DAY
    total: CountsAnswer
    models: dict[str, CountsAnswer]
    days: list[DayCounts]
    drift: DriftAnswer


class DiskAnswer(TypedDict):
    """The disk of SQLite's file."""

    size_bytes: COUNT
    free_bytes: COUNT
    reserve_bytes: COUNT


class StorageAnswer(TypedDict):
    """How much is kept, and what is erased when."""

    submissions: COUNT
    oldest_at: MOMENT | None
    oldest_goes_at: MOMENT | None
    housekeeping_at: MOMENT | None
    used_bytes: COUNT
    reusable_bytes: COUNT | None
    disk: DiskAnswer | None
    limits: FREE


class ServingAnswer(TypedDict):
    """The version that serves, since when, and who let it."""

    version: str
    generation: COUNT
    since: MOMENT | None
    by: str | None


class ShadowOfServing(TypedDict):
    """The version that answers beside it, for a share of the digits."""

    version: str
    share: SHARE


class PointerAnswer(TypedDict):
    """What serves, what a roll-back leads to, and the shadow."""

    serving: ServingAnswer
    rollback: str | None
    shadow: ShadowOfServing | None


class ProcessAnswer(TypedDict):
    """What one process of the server serves."""

    pid: int
    version: NotRequired[str]
    generation: NotRequired[COUNT]


class VersionAnswer(TypedDict):
    """A version, or the file of MODEL_PATH."""

    name: str
    version: str | None
    registered_at: MOMENT | None
    learned_from: COUNT | None
    serves: bool
    broken: str | None
    unavailable: str | None
    figures: FREE


class ModelsMore(TypedDict):
    """A page of versions, and the address of the next one."""

    processes: list[ProcessAnswer]
    models: list[VersionAnswer]
    next: str | None


MODEL_LIST = Merged("ModelList", (PointerAnswer, ModelsMore))


class ModelCard(TypedDict):
    """The card of the model that serves, with that of the detector; the model decides the rest."""

    version: str
    generation: COUNT
    detector: FREE | None


class RetrainingRow(TypedDict):
    """A retraining as a list has it."""

    id: UUID
    state: Literal["requested", "running", "promoted", "stayed", "withdrawn", "failed"]
    progress: SHARE
    seconds_left: Annotated[float, _keywords(minimum=0)] | None
    requested_by: str | None
    requested_at: MOMENT
    heard_at: MOMENT | None
    finished_at: MOMENT | None
    attempts: COUNT
    options: FREE
    version: str | None
    figures: FREE | None
    note: NotRequired[str]


class RetrainingMore(TypedDict):
    """The end of its log."""

    log: str


RETRAINING = Merged("RetrainingAnswer", (RetrainingRow, RetrainingMore))


class RetrainingList(TypedDict):
    """A page of retrainings, and the address of the next one."""

    retrainings: list[RetrainingRow]
    next: str | None


class KeyRow(TypedDict):
    """A key without its token."""

    name: str
    scopes: list[Literal["predict", "label", "operate"]]
    created_at: MOMENT
    used_at: MOMENT | None
    expires_at: MOMENT | None
    revoked_at: MOMENT | None
    limit: str | None


class KeyList(TypedDict):
    """A page of keys, the name of the one that asked, and the address of the next page."""

    keys: list[KeyRow]
    used: str | None
    next: str | None


class NewKey(TypedDict):
    """A new key with its token, which nothing else ever shows."""

    name: str
    token: str


class SettingRow(TypedDict):
    """A setting in force."""

    name: str
    value: Any
    source: str
    help: str


class SettingList(TypedDict):
    """The settings of the process that was asked."""

    instance: str
    settings: list[SettingRow]


class Live(TypedDict):
    """The process runs."""

    status: Literal["live"]


class Readiness(TypedDict):
    """What each part of the service says."""

    checks: dict[str, FREE]
    processes: list[ProcessAnswer]


class ReadinessMore(TypedDict, total=False):
    """The same beside a problem, which tells of it where a part is missing."""

    checks: dict[str, FREE]
    processes: list[ProcessAnswer]


class ReadyStatus(TypedDict):
    """Everything that an answer needs is there."""

    status: Literal["ready"]


READY = Merged("Ready", (ReadyStatus, Readiness))
NOT_READY = Merged("NotReady", (Problem, ReadinessMore))


class InferenceProblem(Problem):
    """A problem, with its detail as clients of the Open Inference Protocol look for it."""

    error: str


class InferenceServer(TypedDict):
    """The server, and the extensions of the Open Inference Protocol that it supports."""

    name: str
    version: str
    extensions: list[str]


class InferenceLive(TypedDict):
    """The process runs."""

    live: bool


class InferenceReady(TypedDict):
    """Everything that an answer needs is there."""

    ready: bool


class TensorForm(TypedDict):
    """What a tensor holds; -1 in its shape is any number."""

    name: str
    datatype: str
    shape: list[int]


class InferenceModel(TypedDict):
    """What the model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorForm]
    outputs: list[TensorForm]


class InferenceModelReady(TypedDict):
    """Whether the model answers."""

    name: str
    ready: bool


class Inferred(TypedDict):
    """The outputs, a row for each image."""

    model_name: str
    model_version: str
    id: NotRequired[str]
    parameters: FREE
    outputs: list[FREE]


class ToolAnswer(TypedDict):
    """A JSON-RPC answer: a `result` or an `error`."""

    jsonrpc: Literal["2.0"]
    id: str | int | float | None
    result: NotRequired[FREE]
    error: NotRequired[FREE]
