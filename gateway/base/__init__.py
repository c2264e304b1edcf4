"""Vocabulary that every room may import: errors, time, files, limits, configuration."""
