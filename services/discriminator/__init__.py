"""Discriminators: pictures in, one logit each out.

One file an architecture; `role` serves any of them.
"""
