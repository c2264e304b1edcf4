"""Hand-made cases of the tally: README.md says how they are written."""
