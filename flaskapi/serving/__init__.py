"""Loaded models that answer, by ONNX Runtime, and their compiled forms."""
