"""Run the command as ``python -m sciriff.cli``."""

from sciriff.cli import main

main()
