"""How a model's file comes to this machine: fetched or added, verified, converted once.

`folder` is where models are kept, `download` and `hub` fetch, `pull` verifies, `sandbox` converts
in a process that can do nothing else, `commands` is what users type.
"""
