"""What is said where a model file is looked for, and is none."""

from pathlib import Path


def why_no_file(path: Path) -> str:
    """Say what stands where a model file was looked for."""
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
