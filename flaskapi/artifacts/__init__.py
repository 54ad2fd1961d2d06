"""Model files and their contents: the artifact, its card, its compiled form."""
