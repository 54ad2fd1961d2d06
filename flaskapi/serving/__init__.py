"""Loaded models that answer through ONNX Runtime, and their compiled forms."""
