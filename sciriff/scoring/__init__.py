"""Replies -> parsed values -> per-sample scores -> totals -> metrics, for the nine held-out tasks.

A metric is a pair of pure functions: one gives a sample's *sufficient statistics* (a short vector of numbers), the
other turns the sum of such vectors into the metric's value. So any subset of samples can be aggregated by adding.

- :mod:`sciriff.scoring.tasks`: the table of the nine tasks and the columns of the summary. Start here.
- :mod:`sciriff.scoring.parsing`: reply text -> JSON value and status.
- :mod:`sciriff.scoring.samples`: one reply against one reference -> :class:`~sciriff.scoring.outcome.SampleScore`.
- :mod:`sciriff.scoring.totals`: adding samples up.
- :mod:`sciriff.scoring.shapes`: totals -> the nested, flat and summary metrics.

Everything is done in two profiles: ``original`` gives the numbers that the original SciRIFF scorers give (where those
crash, the sample counts as a model failure), ``corrected`` gives the numbers that we stand for.
"""
