"""How well the service reads labelled images: what was asked and answered, the measures, and how
they are shown.
"""
