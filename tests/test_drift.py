import pytest

from flaskapi import drift
from flaskapi.drift import DEFAULT, EDGES, compare, find_reference, stability_index, to_reference


def test_the_index_of_two_bins_by_hand() -> None:
    """Half and half, where a quarter was expected: 0.25 * ln 2 + (-0.25) * ln(2/3) = 0.1733 +
    0.1014.
    """
    assert pytest.approx(0.27465, abs=1e-5) == stability_index([50, 50], [0.25, 0.75])


def test_what_is_as_expected_has_an_index_of_nothing() -> None:
    assert 0 == stability_index([30, 10], [0.75, 0.25])


def test_a_bin_that_nobody_fell_into_counts_as_half_a_percent() -> None:
    """0.495 * ln 100 for the empty bin; the other holds 1 instead of 0.5."""
    assert pytest.approx(
        (0.005 - 0.5) * -4.60517 * -1 * -1 + 0.5 * 0.693147, abs=1e-4
    ) == stability_index([0, 100], [0.5, 0.5])


@pytest.mark.parametrize(
    ("low", "meaning"),
    [
        (3, "as in training"),
        (5, "somewhat other than in training"),
        (10, "other than what the network learned from"),
    ],
)
def test_each_index_has_its_meaning_and_what_is_other_some_advice(low: int, meaning: str) -> None:
    """Of a thousand digits 3 %, 5 % and 10 % are of low contrast; half a percent is expected at
    most.
    """
    found = compare("contrast", [10 * low, 1000 - 10 * low], DEFAULT["contrast"])
    assert (meaning, low > 4) == (found["meaning"], found["advice"] is not None)
    assert ([40], [low / 100, 1 - low / 100], [0.0, 1.0]) == (
        found["edges"],
        found["shares"],
        found["expected"],
    )


def test_of_few_digits_nothing_is_said() -> None:
    found = compare("size_px", [0, 150, 49], DEFAULT["size_px"])
    assert (None, None, "too few to say: fewer than 200 digits") == (
        found["index"],
        found["advice"],
        found["meaning"],
    )
    assert compare("size_px", [0, 0, 0], DEFAULT["size_px"])["shares"] is None


def test_the_reference_is_that_of_the_models_card() -> None:
    own = {name: [1, *[0] * len(edges)] for name, edges in EDGES.items()}
    assert (
        "the model's card",
        {name: [1.0, *[0.0] * len(edges)] for name, edges in EDGES.items()},
    ) == find_reference({"reference": to_reference(own)})


@pytest.mark.parametrize(
    "card",
    [
        {},
        {
            "reference": to_reference(DEFAULT)
            | {"ink_share": {"edges": [0.5], "shares": [0.5, 0.5]}}
        },
    ],
)
def test_a_card_without_one_or_with_other_bins_is_taken_to_be_of_mnist(
    card: dict[str, object],
) -> None:
    assert ("MNIST", DEFAULT) == find_reference(card)


@pytest.mark.parametrize("name", EDGES)
def test_every_measure_has_a_reference_that_sums_to_one_and_some_advice(name: str) -> None:
    assert len(EDGES[name]) + 1 == len(DEFAULT[name])
    assert pytest.approx(1, abs=1e-3) == sum(DEFAULT[name])
    assert list(EDGES[name]) == sorted(EDGES[name])
    assert drift.ADVICE[name]
