"""The possible labels of a picture: one of ten digits, or none."""

DIGITS = 10
NO_DIGIT = DIGITS  # among labels that are numbers
NONE = "none"  # among labels that are text
