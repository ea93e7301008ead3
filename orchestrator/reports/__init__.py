"""Runs told to people: one page that needs no network, and a table of what differs."""
