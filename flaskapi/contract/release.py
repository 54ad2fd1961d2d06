"""Which release this is, for programs that ask."""


def find_release() -> str:
    """The release as it was installed; `0` where it was only copied."""
    # Not at the top: it is seldom asked, and takes some milliseconds to load.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("flaskapi")
    except PackageNotFoundError:
        return "0"
