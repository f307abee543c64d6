"""Watching a model in service: has what it sees changed, and does what it says still come true?

`reference` is measured at training and kept in the artefact; `watch` compares the present with it.
"""
