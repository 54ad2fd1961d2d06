"""What callers receive, without HTTP: answers and problems; and what is kept of an image."""
