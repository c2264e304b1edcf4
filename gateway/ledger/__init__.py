"""The durable store of accepted statements, in order, under one signed head; the only SQL of the gateway."""
