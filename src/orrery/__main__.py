"""`python -m orrery …`: the command line by the interpreter's name."""

from orrery.cli import main

main()
