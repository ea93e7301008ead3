"""What the commands do; `cli.py` gives them their names. Nothing heavy is imported on top."""
