"""The `omnireid` command: parses, calls, prints. Each command imports what it needs when it runs."""
