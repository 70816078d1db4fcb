"""Replies -> parsed values -> per-sample scores -> totals -> metrics, for the nine held-out tasks.

A metric is a pair of pure functions: one gives a sample's *sufficient statistics* (a short vector of numbers), the
other turns the sum of such vectors into the metric's value. So any subset of samples can be aggregated by adding.

- :mod:`sciriff.scoring.tasks`: the table of the nine tasks and the columns of the summary. Start here.
- :mod:`sciriff.scoring.rules`: what sets the two profiles apart.
- :mod:`sciriff.scoring.parsing`: reply text -> JSON value and status.
- :mod:`sciriff.scoring.measures`: how answers of each kind are read and compared.
- :mod:`sciriff.scoring.samples`: one reply against one reference -> :class:`~sciriff.scoring.outcome.SampleScores`.
- :mod:`sciriff.scoring.judge`: what a judge is asked about a reply, and what becomes of what it says.
- :mod:`sciriff.scoring.totals`: adding samples up.
- :mod:`sciriff.scoring.shapes`: totals -> the nested, flat and summary metrics.
- :mod:`sciriff.scoring.bounds`: what the summary would be if the replies that never came were all wrong, or all right.

Everything is done in two profiles: ``original`` gives the numbers that the original SciRIFF scorers give (where those
crash, the sample counts as a model failure), ``corrected`` gives the numbers that we stand for.
"""
