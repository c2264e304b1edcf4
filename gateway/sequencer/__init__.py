"""The sequencer: uploads in flight become batches, batches become entries of the log, entries answer."""
