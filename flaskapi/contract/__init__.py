"""What is said to callers, without HTTP: the answers, the problems, and what is kept."""
