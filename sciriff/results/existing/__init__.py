"""Predictions that exist already: of lm-evaluation-harness, of this pipeline, or of whatever else wrote them.

- :mod:`sciriff.results.existing.layout`: a folder's paths -> which file has which model's predictions for which task.
- :mod:`sciriff.results.existing.lines`: a file's bytes -> JSON values, with what is wrong of those that are none.
- :mod:`sciriff.results.existing.given`: a JSON value -> prompt, reply, reference.
- :mod:`sciriff.results.existing.answers`: a ledger of this pipeline -> the same.
- :mod:`sciriff.results.existing.identify`: which instance each of them is.
- :mod:`sciriff.results.existing.collect`: all of that for one folder; the only part that reads files.

Nothing is ever written beside the predictions.
"""
