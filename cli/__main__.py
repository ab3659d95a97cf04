"""`python -m restore_cli`."""

from . import main

main()
