"""The benchmark of the circle runs in pieces, and a row is there as soon as it was measured."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from labelled import normalize, write_digit

from benchmarks import circle, in_a_row, poison
from benchmarks.checkpoint import Checkpoint
from benchmarks.learner import Learner, Turn
from flaskapi.learning import to_arrays
from flaskapi.learning.choose import Chosen, choose
from flaskapi.learning.judge import ask
from flaskapi.submissions.labelled import read_labelled


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    assert [1, 2] == Checkpoint(path).measure("one", lambda: [1, 2])
    again = Checkpoint(path)
    assert "one" in again
    assert [1, 2] == again.measure("one", lambda: pytest.fail("it was measured"))
    assert 3 == Checkpoint(None).measure("one", lambda: 3)


def test_a_result_that_was_torn_as_it_was_written_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    Checkpoint(path).measure("one", lambda: 1)
    path.write_text(path.read_text() + '["two", "half')
    assert "two" not in Checkpoint(path)
    Checkpoint(path).measure("two", lambda: 2)
    assert (1, 2) == tuple(Checkpoint(path).measure(name, str) for name in ("one", "two"))


def test_each_row_is_printed_and_kept_before_the_next_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The third is interrupted; the next run prints all and measures two."""
    measured = []

    def measure(tried: object, name: str, hand: circle.Hand, count: int) -> str:
        measured.append((name, count))
        if len(measured) == 3:
            raise KeyboardInterrupt
        return f"| {name} | {count} |"

    monkeypatch.setattr(circle, "retrain_on_hand", measure)
    monkeypatch.setattr(circle, "retrain_on_ordinary", lambda tried, place: "| ordinary |")
    monkeypatch.setattr(circle, "record_changes", lambda tried: [0] * 300)
    with pytest.raises(KeyboardInterrupt):
        circle.main(tmp_path, 2, (40, 200), 1, tmp_path / "rows")
    assert 2 + 2 == len(capsys.readouterr().out.splitlines())
    circle.main(tmp_path, 2, (40, 200), 1, tmp_path / "rows")
    first, second = list(circle.HANDS)[:2]
    assert [(first, 40), (first, 200), (second, 40), (second, 40), (second, 200)] == measured
    lines = capsys.readouterr().out.splitlines()
    assert [f"| {name} | {count} |" for name in (first, second) for count in (40, 200)] == lines[
        2:6
    ]
    assert 2 == sum("0.0% promoted" in line for line in lines)


def test_circles_without_gain_promote_as_often_as_may_be_spent() -> None:
    changes = np.array([1] * 100 + [0] * 300)
    share = circle.simulate(changes, np.random.default_rng(0), fair=True)
    assert 0 < share <= 0.05
    assert 1 == circle.simulate(changes, np.random.default_rng(0), fair=False)


class Drawn(circle.Tried):
    """Digits drawn for MNIST's, of which there are as many."""

    @property
    def held_out(self) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[override]
        rng, labels = np.random.default_rng(0), np.arange(5000, dtype=np.uint8) % 10
        images = normalize(write_digit(int(digit), rng) for digit in labels[:200])
        return np.resize(images, (5000, 28, 28)), labels


class Untrained(Learner):
    """Chooses what to learn, and trains nothing."""

    chosen: Chosen

    def turn(self) -> Turn:
        self.chosen = choose(
            read_labelled(self._store), lambda some: ask(self.serving, to_arrays(some)[0]), 0.95
        )
        raise InterruptedError


@pytest.mark.parametrize(("way", "wrong"), [("neighbours", 20), ("addresses", 150), ("slow", 5)])
def test_wrong_labels_on_purpose_teach_nothing_new(way: str, wrong: int, tmp_path: Path) -> None:
    """Of the pictures that are drawn here, many of the 500 are the same."""
    learner = Untrained(tmp_path, tmp_path)
    with pytest.raises(InterruptedError):
        poison.WAYS[way](learner, Drawn(tmp_path), 0)
    chosen = learner.chosen
    by_senders = [one for one in chosen.learned if one.source == "senders"]
    said = ask(learner.serving, to_arrays(by_senders)[0]).argmax(axis=1)
    assert said.tolist() == [one.label for one in by_senders], "the model misreads them already"
    assert wrong <= len(chosen.suspicious) + len(by_senders)
    assert {"senders"} == {doubt.example.source for doubt in chosen.suspicious}


def test_a_row_of_retrainings_goes_on_where_its_time_was_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second would end too late; the next run does it, and the last."""
    done, clock = list[int](), iter([0.0, 0.0, 50.0, 0.0, 0.0, 0.0])

    def turn(learner: object, tried: object, place: int) -> dict[str, Any]:
        done.append(place)
        columns = [in_a_row.choose_hand(place) or "ordinary", "40"]
        serving = 30 + 2 * place
        return {"columns": columns, "promoted": True, "before": 30, "serving": serving, "s": 50.0}

    monkeypatch.setattr(in_a_row, "_turn", turn)
    monkeypatch.setattr(in_a_row, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    in_a_row.main(tmp_path, 3, 1, tmp_path / "row")
    assert [0] == done
    assert "1 of 1 were promoted." in capsys.readouterr().out
    in_a_row.main(tmp_path, 3, 2, tmp_path / "row")
    assert [0, 1, 2] == done
    said = capsys.readouterr().out
    first, second, third = said.splitlines()[2:5]
    assert "| 1 | a 7 with a bar, leaning left | 40 |" == first
    assert "| 2 | leaning right | 40 |" == second
    assert "| 3 | ordinary | 40 |" == third
    assert "the first model misreads 30, the last that serves 34. The bound of 3 more is" in said


def test_of_a_row_every_hand_is_labelled_and_the_ordinary_one_too() -> None:
    hands = {in_a_row.choose_hand(place) for place in range(30)}
    assert {*circle.HANDS, None} == hands
