"""`python -m gateway.cli`: the program ``tallygate`` where its script is not on the path."""

from gateway.cli import main

main()
