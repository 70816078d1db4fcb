"""What `sciriff verify` does: are the artifacts what their manifests say, and are the manifests true?

:mod:`sciriff.verifying.verify` tells the story. Hashes (``files``) find what was damaged. What was altered together
with its manifest they cannot find: for that a sample of records is made anew from the sources (``sampling``,
``proof``).
"""
