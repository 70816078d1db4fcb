"""Jinja templates that cannot harm: they reach nothing, and what they may use of time and memory is bounded."""
