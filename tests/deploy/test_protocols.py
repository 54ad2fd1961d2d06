"""The other protocols under a real Apache, by their own clients."""

import asyncio
import base64

import numpy as np
import pytest
import tritonclient.http as triton
from fakes import draw_digit, encode
from mcp import Client
from servers import Server
from waiting import in_thread

pytestmark = pytest.mark.apache

SEVEN = encode(draw_digit(7))


def test_tritons_client_is_answered_raw(server: Server) -> None:
    """Its header, by which the JSON is told from what stands behind it, passes both ways."""
    images = triton.InferInput("images", [2], "BYTES")
    images.set_data_from_numpy(np.array([SEVEN, SEVEN], dtype=np.object_))
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        assert client.is_model_ready("digits")
        answer = client.infer("digits", [images], request_compression_algorithm="gzip")
    assert [7, 7] == answer.as_numpy("digit").tolist()
    assert all(answer.as_numpy("id"))


def test_an_assistant_is_answered_by_any_process(server: Server) -> None:
    async def talk() -> None:
        async with Client(f"http://127.0.0.1:{server.port}/mcp") as client:
            image = base64.b64encode(SEVEN).decode()
            for _ in range(4):
                answer = await client.call_tool("read_digit", {"image": image})
                assert 7 == answer.structured_content["digit"]
            said = {"id": answer.structured_content["id"], "digit": 7}
            assert (
                "sender"
                == (await client.call_tool("label", said)).structured_content["label_source"]
            )

    in_thread(lambda: asyncio.run(talk()))
