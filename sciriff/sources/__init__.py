"""Acquiring raw source files: catalogue, lock, mirror, download, and archives read without trust."""
