"""The commission's decisions: prepared, signed, brought to the log, and listed."""
