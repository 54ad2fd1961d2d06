"""Archives made in memory, sound ones and hostile ones."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterable
from typing import Any

Members = Iterable[tuple[str, bytes]]


def make_zip(members: Members, method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def make_tar(members: Members, form: int = tarfile.PAX_FORMAT, **header: Any) -> bytes:
    """A tar archive; `header` sets what is otherwise in the headers of all members, as `type` or
    `linkname`.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in header.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def make_tar_gz(members: Members) -> bytes:
    return gzip.compress(make_tar(members), mtime=0)
