"""The detector learns what pages show, by a loss that falls as answers get better."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from trainings import small_detector

from flaskapi.artifacts.keras_file import is_detector
from flaskapi.errors import DatasetError
from flaskapi.handwriting.pages import DrawnPage, Placed, draw_page, draw_targets
from flaskapi.reading.candidates import find_candidates
from flaskapi.sources.mnist import Dataset
from flaskapi.training import detector as training
from flaskapi.training.detector import (
    DetectorRecipe,
    Found,
    Pages,
    calibrate_detector,
    detection_loss,
    draw_batch,
    look_over,
    make_learner,
    train_detector,
)
from flaskapi.training.networks import detector

pytestmark = pytest.mark.train

SMALL = DetectorRecipe(epochs=1, steps=4, batch_size=4, seed=3, validation=40)
DIGITS = [
    Placed(7, 20, 10, 24, 36, True),
    Placed(4, 90, 14, 30, 40, True),
    Placed(1, 250, 20, 6, 30, False),
]


def right_answer(targets: np.ndarray) -> np.ndarray:
    """Sure of every digit, right in each, and silent where there is none."""
    answer = np.zeros((*targets.shape[:-1], 15), np.float32)
    answer[..., 0] = np.where(targets[..., 0] == 1, 12, -12)
    np.put_along_axis(answer[..., 1:11], targets[..., 1:2].astype(int), 12, axis=-1)
    answer[..., 11:] = targets[..., 2:]
    return answer


def loss(targets: np.ndarray, answer: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(
        detection_loss(keras.ops.convert_to_tensor(targets), keras.ops.convert_to_tensor(answer))
    )


TARGETS = draw_targets(DIGITS)[np.newaxis]
CENTER = tuple(np.argwhere(TARGETS[0, ..., 0] == 1)[0])
BLANK = (8, 90)  # a cell far from all digits


def test_it_learns_in_another_form_and_answers_as_the_plain_one() -> None:
    """One operation normalizes a batch as Keras's nine do, in training and afterwards."""
    pages = np.random.default_rng(0).random((4, 32, 64, 1), np.float32)
    keras.utils.set_random_seed(0)
    learner, plain = make_learner("float32"), detector((None, None, 1))
    plain.set_weights(learner.get_weights())
    for is_training in (True, False, True):
        answers = [
            keras.ops.convert_to_numpy(model(pages, training=is_training))
            for model in (learner, plain)
        ]
        np.testing.assert_allclose(*answers, atol=1e-4)
    for fused, usual in zip(learner.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(fused, usual, rtol=1e-2, atol=1e-5)


def test_its_weights_are_kept_as_float32_whatever_it_multiplies_in() -> None:
    learner = make_learner("mixed_bfloat16")
    assert learner.compute_dtype == "bfloat16"
    assert {weight.dtype for weight in learner.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32", "what is made later is as before"


def test_the_right_answer_costs_next_to_nothing() -> None:
    (right,) = loss(TARGETS, right_answer(TARGETS))
    assert 0 <= right < 0.01


@pytest.mark.parametrize("amount", [0.5, 1, 2])
@pytest.mark.parametrize(
    "part",
    [
        "a digit not found",
        "a digit where there is none",
        "another digit",
        "a box aside",
        "a box too large",
    ],
)
def test_each_mistake_costs_and_a_larger_one_more(part: str, amount: float) -> None:
    costs = []
    for worse in (0, amount, 2 * amount):
        answer = right_answer(TARGETS)
        if part == "a digit not found":
            answer[(0, *CENTER, 0)] = 2 - 4 * worse
        elif part == "a digit where there is none":
            answer[(0, *BLANK, 0)] = -2 + 4 * worse
        elif part == "another digit":
            answer[(0, *CENTER, 1 + 3)] += 12 * worse
        else:
            answer[(0, *CENTER, 11 if part == "a box aside" else 13)] += worse
        costs.extend(loss(TARGETS, answer).tolist())
    assert costs == sorted(costs)
    assert costs[0] < costs[1] < costs[2]


def test_what_is_said_of_cells_without_a_digit_does_not_matter() -> None:
    """Which digit, and where, is asked only where there is one."""
    answer = right_answer(TARGETS)
    answer[(0, *BLANK)][1:] = 99
    np.testing.assert_allclose(loss(TARGETS, answer), loss(TARGETS, right_answer(TARGETS)))


def test_a_digit_that_the_page_cuts_off_may_be_found_or_not() -> None:
    near = np.where(TARGETS[0, ..., 1] == 1, TARGETS[0, ..., 0], 0)
    assert 0.89 < near.max() < 1
    cut = np.unravel_index(near.argmax(), near.shape)
    for presence in (-12, 12):
        answer = right_answer(TARGETS)
        answer[(0, *cut, 0)] = presence
        assert loss(TARGETS, answer)[0] < 0.01


def test_each_page_has_a_loss_of_its_own() -> None:
    both = np.concatenate([TARGETS, TARGETS])
    answers = np.concatenate([right_answer(TARGETS), np.zeros_like(right_answer(TARGETS))])
    right, wrong = loss(both, answers)
    assert right < 0.01 < wrong


@pytest.mark.parametrize("presence", [-100, -12, 0, 12, 100])
def test_the_loss_of_an_empty_page_is_a_number_and_grows_with_what_is_found_there(
    presence: float,
) -> None:
    empty, answer = np.zeros_like(TARGETS), np.zeros_like(right_answer(TARGETS))
    answer[..., 0] = presence
    (cost,) = loss(empty, answer)
    assert np.isfinite(cost)
    assert cost == pytest.approx(0, abs=0.01) if presence <= -12 else cost > 1


def test_the_loss_of_any_answer_can_be_learned_from() -> None:
    """Its slope is a number everywhere, however wrong the answer."""
    import tensorflow as tf

    for targets in (TARGETS, np.zeros_like(TARGETS)):
        for size in (0, 1, 60):
            answer = tf.Variable(
                size
                * np.random.default_rng(0)
                .standard_normal(right_answer(targets).shape)
                .astype(np.float32)
            )
            with tf.GradientTape() as tape:
                cost = detection_loss(tf.constant(targets), answer)
            assert np.isfinite(tape.gradient(cost, answer).numpy()).all()


def test_a_batch_is_pages_and_what_to_answer_to_them(dataset: Dataset) -> None:
    pages, targets = draw_batch(
        dataset.train_images, dataset.train_labels, 3, np.random.default_rng(0)
    )
    assert (np.float32, (3, 64, 256, 1)) == (pages.dtype, pages.shape)
    assert (np.float32, (3, 16, 128, 6)) == (targets.dtype, targets.shape)


def test_each_batch_of_each_epoch_is_drawn_anew_and_the_same_for_the_same_seed(
    dataset: Dataset,
) -> None:
    def draw(seed: int) -> list[bytes]:
        pages = Pages(dataset.train_images, dataset.train_labels, SMALL._replace(seed=seed))
        return [pages.make(step)[0].tobytes() for step in range(2 * SMALL.steps)]

    first, again, other = draw(3), draw(3), draw(4)
    assert first == again
    assert 2 * 2 * SMALL.steps == len({*first, *other})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few pages and a smaller network."""
    monkeypatch.setattr(training, "detector", small_detector)
    monkeypatch.setattr(training, "VALIDATION_PAGES", 4)
    monkeypatch.setattr(training, "CALIBRATION_PAGES", 20)


@pytest.mark.usefixtures("quick")
def test_a_training_is_decided_by_its_data_and_its_recipe(dataset: Dataset) -> None:
    (first, card, _), (again, same_card, _), (other, *_) = (
        train_detector(dataset, SMALL._replace(seed=seed)) for seed in (3, 3, 4)
    )
    assert is_detector(first)
    assert card | {"hours": 0} == same_card | {"hours": 0}
    for one, same in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, same)
    assert not all(
        np.array_equal(one, another)
        for one, another in zip(first.get_weights(), other.get_weights(), strict=True)
    )


@pytest.mark.usefixtures("quick")
def test_an_interrupted_training_of_the_detector_goes_on_where_it_was(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = SMALL._replace(epochs=2, steps=3)
    whole, *_ = train_detector(dataset, recipe)
    steps, make = [], Pages.make

    def interrupted(self: Pages, step: int) -> object:
        steps.append(step)
        if steps.count(4) == 1 and step == 4:
            raise KeyboardInterrupt
        return make(self, step)

    monkeypatch.setattr(Pages, "make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_detector(dataset, recipe, backup=tmp_path, keep_every_s=0)
    steps = [4]
    again, *_ = train_detector(dataset, recipe, backup=tmp_path)
    assert [4, 4, 5] == steps, "the steps before were done"
    for expected, found in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(expected, found, atol=1e-5)


@pytest.mark.usefixtures("quick")
def test_the_card_says_what_the_detector_was_made_of_and_how_good_it_is(dataset: Dataset) -> None:
    model, card, _ = train_detector(dataset, SMALL)
    assert card == json.loads(json.dumps(card)), "the card must survive being stored as JSON"
    assert {"sha256": dataset.sha256, "training": 160, "validation": 40}.items() <= card[
        "data"
    ].items()
    assert (model.name, model.count_params()) == (card["network"], card["weights"])
    assert SMALL._asdict().items() <= card["training"].items()
    assert {"presence_slope", "presence_shift", "temperature"} == card[
        "training"
    ].keys() - SMALL._asdict().keys()
    assert {"digits", "found", "right", "false_alarms"} == card["pages"].keys()
    assert card["pages"]["right"] <= card["pages"]["found"] <= card["pages"]["digits"]


@pytest.mark.parametrize("validation", [0, 200, 5000])
def test_too_few_images_to_hold_some_out_is_said(dataset: Dataset, validation: int) -> None:
    with pytest.raises(
        DatasetError,
        match=f"Of 200 training images, {validation} cannot be held out for validation",
    ):
        train_detector(dataset, SMALL._replace(validation=validation))


class Knowing:
    """Answers to each page what is on it, with a presence of its own for every digit."""

    def __init__(self, pages: list[DrawnPage], presence: float = 6.0) -> None:
        self.answers = np.stack(
            [right_answer(draw_targets(page.digits)[np.newaxis])[0] for page in pages]
        )
        self.answers[..., 0] = np.where(self.answers[..., 0] > 0, presence, -12)

    def predict(self, pages: np.ndarray, **_: object) -> np.ndarray:
        return self.answers


def page_of(digits: list[Placed]) -> DrawnPage:
    return DrawnPage(np.zeros((64, 256), np.float32), digits)


def test_what_a_detector_finds_is_compared_with_what_is_there() -> None:
    pages = [page_of(DIGITS), page_of([]), page_of(DIGITS[:1])]
    knowing = Knowing(pages)
    assert {"digits": 3, "found": 3, "right": 3, "false_alarms": 0} == look_over(
        knowing, pages
    ).figures()
    elsewhere = [
        page_of(
            [digit._replace(x=digit.x + 60, digit=(digit.digit + 1) % 10) for digit in page.digits]
        )
        for page in pages
    ]
    assert {"digits": 3, "found": 0, "right": 0, "false_alarms": 3} == look_over(
        knowing, elsewhere
    ).figures()
    others = [
        page_of([digit._replace(digit=(digit.digit + 1) % 10) for digit in page.digits])
        for page in pages
    ]
    assert {"digits": 3, "found": 3, "right": 0, "false_alarms": 0} == look_over(
        knowing, others
    ).figures()
    unsure = look_over(Knowing(pages, presence=-1.0), pages)
    assert ({"digits": 3, "found": 0, "right": 0, "false_alarms": 0}, 3) == (
        unsure.figures(),
        len(unsure.presence),
    )


def test_a_digit_is_found_once_and_what_is_found_again_is_a_false_alarm() -> None:
    near = DIGITS[0]._replace(x=DIGITS[0].x + 16, width=20)
    found = look_over(Knowing([page_of([DIGITS[0], near])]), [page_of(DIGITS[:1])])
    assert {"digits": 1, "found": 1, "right": 1, "false_alarms": 1} == found.figures()


def test_calibration_changes_how_sure_a_detector_is_and_not_what_it_says(dataset: Dataset) -> None:
    keras.utils.set_random_seed(0)
    model = small_detector((None, None, 1))
    pages = [
        draw_page(dataset.train_images, dataset.train_labels, np.random.default_rng(seed))
        for seed in range(60)
    ]
    batch = np.stack([page.pixels for page in pages])[..., np.newaxis]
    model.compile(keras.optimizers.Adam(5e-3), loss=detection_loss)
    model.fit(
        batch,
        np.stack([draw_targets(page.digits) for page in pages]),
        batch_size=10,
        epochs=8,
        verbose=0,
    )
    before = model.predict(batch, verbose=0).reshape(60, 16, 128, 15)
    was = look_over(model, pages)
    changes = calibrate_detector(model, pages)
    after = model.predict(batch, verbose=0).reshape(60, 16, 128, 15)
    slope, shift, temperature = (
        changes["presence_slope"],
        changes["presence_shift"],
        changes["temperature"],
    )
    np.testing.assert_allclose(before[..., 0] * slope + shift, after[..., 0], rtol=0.01, atol=0.02)
    np.testing.assert_allclose(
        before[..., 1:11] / temperature, after[..., 1:11], rtol=0.01, atol=0.02
    )
    np.testing.assert_allclose(before[..., 11:], after[..., 11:], atol=1e-5)
    logits = np.log(was.presence / (1 - was.presence))
    assert gap(was._replace(presence=1 / (1 + np.exp(-slope * logits - shift)))) < gap(was), (
        "of the same candidates"
    )


def test_a_detector_that_has_learned_nothing_yet_can_be_calibrated_all_the_same() -> None:
    """As after a try of a few steps: it finds nothing, and so is never wrong."""
    model = small_detector((None, None, 1))
    kernel, bias = model.get_layer("answer").get_weights()
    model.get_layer("answer").set_weights([0 * kernel, bias - 9])
    calibrate_detector(model, [page_of(DIGITS)])
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


def gap(found: Found) -> float:
    """How far the mean presence is from how often there is a digit."""
    return abs(float(found.presence.mean()) - float((found.labels >= 0).mean()))


def test_a_detector_learns_one_page_by_heart() -> None:
    """The loss leads to where every digit is found, named and boxed."""
    targets = draw_targets(DIGITS[:2])
    page = np.zeros((1, 64, 256, 1), np.float32)
    for digit in DIGITS[:2]:
        left, top = int(digit.x), int(digit.y)
        page[0, top : top + int(digit.height), left : left + int(digit.width)] = digit.digit / 10
    keras.utils.set_random_seed(0)
    model = small_detector((None, None, 1))
    model.compile(keras.optimizers.Adam(5e-3), loss=detection_loss)
    history = model.fit(page, targets[np.newaxis], epochs=150, verbose=0)
    assert history.history["loss"][-1] < 0.1 * history.history["loss"][0]
    answer = keras.ops.convert_to_numpy(model(page, training=True)).reshape(16, 128, 15)
    found = [candidate for candidate in find_candidates(answer, 1.0) if candidate.presence > 0.5]
    assert [7, 4] == [
        int(one.probabilities.argmax()) for one in sorted(found, key=lambda one: one.edges[0])
    ]


@pytest.mark.usefixtures("quick")
def test_a_training_of_the_detector_goes_on_with_more_epochs_before_it_cools(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages of the last epochs are others than those before, however many there are."""
    short = SMALL._replace(epochs=2, cooling_epochs=1, steps=3)
    train_detector(dataset, short, backup=tmp_path)
    steps, make = [], Pages.make

    def note(self: Pages, step: int) -> object:
        steps.append(step)
        return make(self, step)

    monkeypatch.setattr(Pages, "make", note)
    train_detector(dataset, short._replace(epochs=3), backup=tmp_path)
    assert [3, 4, 5, 6, 7, 8] == steps
