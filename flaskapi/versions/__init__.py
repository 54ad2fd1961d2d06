"""Which version of the model serves in this process: the folder, the pointer, what follows it."""
