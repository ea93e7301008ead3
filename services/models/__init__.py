"""The networks that services run, and the checkpoints that they are read from."""
