"""Advice on what to change in the client that sent a request, in that client's language.

The User-Agent tells which client it is. .NET's HttpClient sends none and is recognised by the
boundary of its forms. Unknown clients get all three ways, with curl.
"""

import re
from typing import NamedTuple

from flask import request


class Advice(NamedTuple):
    """How one client sends an image, and how it writes base64."""

    image: str
    boundary: str
    base64: str


_ANY = Advice(
    "Send it as multipart/form-data in the field 'file' (curl -F file=@7.png), as the body with "
    "its own type "
    '(curl --data-binary @7.png -H \'Content-Type: image/png\'), or as JSON {"image": "<base64>"}.',
    "Let the client write the header Content-Type itself, with the boundary of its form.",
    "It must be what `base64 -w0 7.png` prints, or a data: URL.",
)
_CURL = _ANY._replace(boundary="With curl, leave out -H 'Content-Type: …': -F writes it itself.")
_PYTHON = Advice(
    "In Python: {library}.post(url, files={{'file': open('7.png', 'rb')}}), or "
    "{library}.post(url, json={{'image': base64.b64encode(data).decode()}}).",
    "In Python, leave out the header Content-Type: {library} writes it with its boundary.",
    "In Python it is base64.b64encode(data).decode(). Without .decode(), str() adds b'…'.",
)
_SCRIPT = Advice(
    "In JavaScript: form = new FormData(); form.append('file', blob, '7.png'); "
    "fetch(url, {method: 'POST', body: form}).",
    "In JavaScript, leave out the header Content-Type: fetch writes it with its boundary.",
    "In JavaScript it is canvas.toDataURL(). In a form, apply encodeURIComponent to it; otherwise "
    "the form turns its + characters into spaces.",
)
_DOTNET = Advice(
    "In C#: form = new MultipartFormDataContent(); form.Add(new ByteArrayContent(bytes), "
    '"file", "7.png"); await client.PostAsync(url, form). The third argument, the file name, '
    "is needed.",
    "In C#, leave the header Content-Type to MultipartFormDataContent, which writes its boundary.",
    "In C# it is Convert.ToBase64String(bytes).",
)
_KNOWN = (
    (re.compile(r"curl/", re.I), _CURL),
    (re.compile(r"(python-requests|httpx|aiohttp)", re.I), _PYTHON),
    (re.compile(r"(?:\.NET|dotnet|RestSharp|PowerShell)", re.I), _DOTNET),
    (re.compile(r"(?:Mozilla/|^node\b|node-fetch|axios/|undici)", re.I), _SCRIPT),
)
_LIBRARIES = {"python-requests": "requests", "httpx": "httpx", "aiohttp": "session"}
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def advise() -> Advice:
    """Give the advice for the client that sent this request."""
    agent = request.user_agent.string
    for pattern, advice in _KNOWN:
        if match := pattern.search(agent):
            if advice is not _PYTHON:
                return advice
            library = _LIBRARIES[match[1].lower()]
            image, boundary = (
                words.format(library=library) for words in (advice.image, advice.boundary)
            )
            return Advice(image, boundary, advice.base64)
    if not agent and _GUID.fullmatch(request.mimetype_params.get("boundary", "")):
        return _DOTNET
    return _ANY
