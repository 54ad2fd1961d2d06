"""The domain: from image bytes to predictions, and what a classifier and a detector must do.

Read this room first. `digit` and `number` order the steps; nothing here knows HTTP,
Keras or ONNX Runtime.
"""
