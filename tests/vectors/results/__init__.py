"""Worked examples of results: votes and rules in, seats and outcome out (README.md)."""
