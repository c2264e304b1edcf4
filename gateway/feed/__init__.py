"""The feed as publish writes it and site reads it: where files are, what latest.json says."""
