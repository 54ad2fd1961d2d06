"""What mod_wsgi loads: each daemon process runs this once, when it starts, before its first request."""

import atexit
import os
import sys
from pathlib import Path

# Where a link leads to the release that serves, this process stays with the one that it began with.
sys.path[:] = [os.path.realpath(path) for path in sys.path]
sys.prefix = os.path.realpath(sys.prefix)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# The processes share out the cores; libraries that start a thread for each core would only get in their way. They read
# these when they are imported, so it has to be done here.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OPENCV_FOR_THREADS_NUM="1")

# What is registered first is done last, when every request is answered. Taking apart what libraries hold takes 0.3 s of the
# processor, in which, at a reload of Apache, there is no socket for requests.
atexit.register(os._exit, 0)

from flaskapi.web.memory import configure_malloc, trim_memory, watch_memory  # noqa: E402 the path and the environment come first

configure_malloc()

from flaskapi import create_app  # noqa: E402 what is imported takes memory

# How long a thread that comes back from the database waits for one that computes, at most, in seconds; Python's own is 0.005.
sys.setswitchinterval(0.0005)

# Settings go into config.toml in the instance folder; Apache's SetEnv does not reach Python's environment.
application = create_app({"METRICS_PATH": "metrics"})
application.extensions["flaskapi"].models.watch()  # from the start: also one that is asked nothing serves what is promoted, and says so
trim_memory()
watch_memory(application.config["PROCESS_MEMORY_BYTES"])
