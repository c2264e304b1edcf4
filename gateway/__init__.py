"""The server side, one package a stage, in the order of the flow."""
