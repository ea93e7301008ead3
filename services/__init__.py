"""Processes that each hold one model on one device and answer requests.

`runtime` is what they share, `generator`, `clip` and `discriminator` are the roles, `models` the
networks and their files, `catalogue` the list of models by name. Imports `protocol`, never
`orchestrator`.
"""
