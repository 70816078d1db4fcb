"""Writes the sample sources: our own annotated texts (``texts/``) in the primary formats of the real sources.

Run ``python -m samples.tool`` from the root of the checkout; nothing here is needed to use the samples.
"""
