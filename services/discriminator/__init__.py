"""Discriminators: pictures in, one logit each out. One file a family; `role` serves any of them."""
