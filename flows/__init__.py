"""The Prefect surface: one file per flow, each a thin road from parameters over a library call to artifacts in the UI.

Everything that decides what is built, mixed or scored is in ``sciriff``; a flow adds retries, run names, states and
artifacts. This module imports nothing, because Prefect loads :mod:`flows.plugin` through it at every start.
"""
