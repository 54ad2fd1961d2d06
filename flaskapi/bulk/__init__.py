"""Many images from the command line: the same answers as `POST /predict/batch`, without a
server.
"""
