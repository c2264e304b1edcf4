"""Replays: real and synthetic result sets as election and results folders (README.md)."""
