"""The domain: from image bytes to predictions, and the interfaces of classifier and detector.

Read this room first. `digit` and `number` call the steps in order; nothing here knows HTTP, Keras
or ONNX Runtime.
"""
