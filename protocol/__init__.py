"""What both sides agree on: frames, typed messages, tensors, errors, endpoints, and the client.

Imports neither `services` nor `orchestrator`, and never torch.
"""
