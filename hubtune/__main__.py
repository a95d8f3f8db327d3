"""Runs the command line as `python -m hubtune`."""

from hubtune.cli.main import main

main()
