"""The observer's program `tallygate-observe`: whoever does not want to believe recomputes."""
