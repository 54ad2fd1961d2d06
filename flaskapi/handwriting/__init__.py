"""Drawn handwriting to train with: varied digits, pages, paper, and pictures of no digit."""

import cv2

cv2.setNumThreads(1)  # as in `digits`: what draws runs in as many processes as there are cores
