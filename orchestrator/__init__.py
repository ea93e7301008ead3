"""Drives the search: starts or finds services, asks, evaluates, tells, shows and keeps.

Imports `protocol`; never `services` (it starts them as processes) and never torch.
"""
