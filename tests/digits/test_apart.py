import os
import signal
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from fakes import encode
from hostile import DRAWN, png

from flaskapi.digits.apart import Bounds, Decoder
from flaskapi.errors import InvalidImageError, TooLargeError

pytestmark = pytest.mark.process
ASKED = {"format": "PNG", "max_pixels": 25_000_000, "max_side_px": 1024, "by_colour": False}


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(Bounds(cpu_s=5))
    yield decoder
    decoder.close()


def decode(decoder: Decoder, data: bytes, cpu_s: float = 5, **other: object) -> object:
    return decoder.decode(data, **ASKED | other, cpu_s=cpu_s)[0]  # type: ignore[arg-type]


def test_a_picture_is_decoded_apart_as_it_is_here(decoder: Decoder) -> None:
    np.testing.assert_array_equal(DRAWN, np.asarray(decode(decoder, encode(DRAWN))))
    wide = encode(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100)
    assert (20, 30) == np.asarray(decode(decoder, wide)).shape
    assert decode(decoder, encode(DRAWN), by_colour=True) is None


def test_damage_is_told_as_it_is_here(decoder: Decoder) -> None:
    with pytest.raises(InvalidImageError, match="truncated or damaged"):
        decode(decoder, encode(DRAWN)[:100])
    np.testing.assert_array_equal(DRAWN, np.asarray(decode(decoder, encode(DRAWN))))


def test_what_takes_too_long_is_refused_and_the_next_is_read(decoder: Decoder) -> None:
    """The time is that of the processor, and a fraction of what the picture needs."""
    with pytest.raises(TooLargeError, match="more than 5 s"):
        decode(decoder, png(4000, 4000), cpu_s=0.001)
    np.testing.assert_array_equal(DRAWN, np.asarray(decode(decoder, encode(DRAWN))))


def test_what_takes_too_much_memory_is_refused() -> None:
    decoder = Decoder(Bounds(cpu_s=5, memory=16 << 20))
    try:
        with pytest.raises(TooLargeError, match="more memory"):
            decode(decoder, png(5000, 5000))
        np.testing.assert_array_equal(DRAWN, np.asarray(decode(decoder, encode(DRAWN))))
    finally:
        decoder.close()


def test_a_process_that_was_killed_is_replaced(decoder: Decoder) -> None:
    decode(decoder, encode(DRAWN))
    process = decoder._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    np.testing.assert_array_equal(DRAWN, np.asarray(decode(decoder, encode(DRAWN))))


def test_the_process_ends_with_the_one_that_asks(decoder: Decoder) -> None:
    decode(decoder, encode(DRAWN))
    process = decoder._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(10) == 0


def test_threads_wait_for_each_other(decoder: Decoder) -> None:
    found: list[bool] = []

    def ask(level: int) -> None:
        picture = np.full((50, 50), level, np.uint8)
        found.append(bool((np.asarray(decode(decoder, encode(picture))) == picture).all()))

    threads = [threading.Thread(target=ask, args=(level,)) for level in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [True] * 10 == found
