"""How well the service reads labelled images: the questions and answers, the measures, the
reports.
"""
