"""The versions of the model, the pointer to the serving one, and how a process follows it."""
