"""The message for a model path at which there is no model file."""

from pathlib import Path


def why_no_file(path: Path) -> str:
    """Say what is at the path in place of a model file."""
    if (path / "saved_model.pb").is_file():
        return (
            f"{path.name}: this is a folder in TensorFlow's SavedModel format, which is not read "
            f"because it may contain code. Load it in Keras, and save it with "
            f"model.save('my_model.h5')."
        )
    return (
        f"{path.name}: this is a folder, not a model file."
        if path.is_dir()
        else f"{path}: the file does not exist."
    )
