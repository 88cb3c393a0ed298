"""The contract both sides share: wire messages, events, behaviours, findings. Knows neither side."""

__version__ = "0.1.0"
