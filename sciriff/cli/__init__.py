"""The ``sciriff`` command, one module per verb.

Only click is imported here; a verb's module, and with it the library, is imported when the verb is called, so that
``sciriff --help`` answers at once.
"""

from __future__ import annotations

import click

from sciriff import __version__
from sciriff.cli.lazy import LazyGroup

VERBS = {
    "fetch": "Get the source files without building.",
    "build": "Build tasks from their sources, then combine them.",
    "combine": "Combine built tasks into one dataset per window.",
    "stats": "Print what a dataset paper tells of its data.",
    "leakage": "Say which evaluation instances also stand in training data.",
    "push": "Upload the combined dataset to the Hugging Face Hub.",
    "mix": "Make a training mixture.",
    "prompt": "Print what a model gets for an instance.",
    "evaluate": "Score models on the held-out tasks.",
    "score": "Score predictions that exist already.",
    "leaderboard": "Print the scores of all models.",
    "compare": "Say whether one model is better than another.",
    "check": "Fail if a model got worse than a baseline.",
    "explain": "Show how one reply got its score.",
    "report": "Write the results as HTML pages.",
    "tasks": "List the tasks and how they stand.",
    "show": "Print rendered instances of a task.",
    "sql": "Query the scores.",
    "doctor": "Look whether everything is there that is needed.",
    "verify": "Prove that artifacts are what their manifests say.",
}

_HELP = """Rebuild SciRIFF from primary sources, mix it for training and evaluate models on its held-out tasks.

First steps: `sciriff build`, then `sciriff evaluate --model gold,lead`, then `sciriff leaderboard`."""

_EPILOG = """Settings also come from the environment (SCIRIFF_STORE, SCIRIFF_MIRROR, SCIRIFF_OFFLINE, ...) and from
.env. Exit status: 0 all done, 3 something waits for you (a manual download, a licence), 1 something failed, 2 a wrong
command line, 130 interrupted. SCIRIFF_DEBUG=1 shows where an error comes from."""

main = LazyGroup(
    "sciriff",
    package=__name__,
    verbs=VERBS,
    help=_HELP,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
main = click.version_option(__version__, prog_name="sciriff")(main)
