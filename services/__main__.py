"""`python -P -m services` is the command `service`; the orchestrator starts services this way."""

from services.cli import main

main()
