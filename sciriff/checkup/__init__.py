"""What `sciriff doctor` looks at: whether everything is there that the pipeline needs.

:mod:`sciriff.checkup.run` runs the checks, each within its time and none in the way of another. A check is a plain
function from settings to findings; nothing is printed here, and no value of a key is ever kept.
"""
