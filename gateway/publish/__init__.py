"""From the log to the public: tally, gate, snapshots, the feed's files."""
