"""The miniatures: small bundled models, the world they know, and how they are trained.

`python -m miniatures --help` says what can be done. Nothing here is needed to use the models:
services read the checkpoints in `miniatures/weights/` like any others.
"""
