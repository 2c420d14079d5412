"""`python -m omnireid`."""

from omnireid.cli.app import main

main()
