"""Building tasks. The story is told, top to bottom, in :mod:`sciriff.building.build`.

It is not told here because worker processes import :mod:`sciriff.building.instances`, and with it this file: they
stay small as long as nothing is imported here.
"""
