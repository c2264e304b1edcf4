"""The night: its folder, its start, its supervision."""
