"""A compiled model that answers. ONNX Runtime lives here; TensorFlow never does, it runs in a child
process.
"""
