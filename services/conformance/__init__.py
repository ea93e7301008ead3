"""The conformance kit: does a running service keep docs/wire.md?"""
