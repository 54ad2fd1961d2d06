"""Which version of the model serves in this process: versions, pointer, and how it is followed."""
