"""Model files and what is in them: the artifact, its card, its compiled form."""
