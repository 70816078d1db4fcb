"""Models: anything that answers an instance's prompt. For now the baselines, which need no weights.

- :mod:`sciriff.models.baselines`: the table of baselines.
- :mod:`sciriff.models.instances`: the built instances that a model is asked.
- :mod:`sciriff.models.predict`: asking, and keeping the replies in the store.
"""
