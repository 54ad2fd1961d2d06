"""The arithmetic of docs/scaling.md, and that the page has its figures."""

import math
from pathlib import Path

import pytest

from benchmarks import scaling
from benchmarks.scaling import DAY_S, VALUES, find_limits, find_needs, simulate_wait

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"


def test_a_day_that_needs_one_of_each_is_one_by_hand() -> None:
    values = dict.fromkeys(VALUES, 1.0) | {"peak": 2.0, "busy": 0.5, "cores": 4.0}
    needs = find_needs(DAY_S, values)
    assert (2, 4, 4, 1, 1) == needs[:5]
    assert (2, DAY_S, 2) == (needs.writes, needs.disks, needs.wires)


def test_needs_grow_with_the_images_and_a_limit_is_where_one_is_needed() -> None:
    once, twice = find_needs(10**6), find_needs(2 * 10**6)
    assert twice == pytest.approx([2 * need for need in once])
    limits = find_limits()
    for name, part in zip(limits, ("instances", "writes", "disks", "wires"), strict=True):
        assert 1 == pytest.approx(getattr(find_needs(limits[name]), part))


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.8])
def test_the_queue_waits_as_theory_has_it(busy: float) -> None:
    """One server, by Pollaczek and Khinchine: busy / (2 (1 - busy)) times the service."""
    waits = simulate_wait(busy, 1, requests=100_000)
    assert busy / (2 * (1 - busy)) == pytest.approx(sum(waits) / len(waits), rel=0.08)
    assert 1 - busy == pytest.approx(sum(wait == 0 for wait in waits) / len(waits), abs=0.02)


def test_more_servers_wait_less() -> None:
    one, many = (simulate_wait(0.8, servers, requests=20_000) for servers in (1, 8))
    assert sum(many) < sum(one) / 4
    assert not math.isnan(sum(many))


def test_the_page_has_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    scaling.main()
    page = PAGE.read_text()
    for line in capsys.readouterr().out.splitlines():
        assert line in page
