"""Findings told outside: in Falco's JSON form to standard output, a file and an HTTP receiver (Falcosidekick)."""
