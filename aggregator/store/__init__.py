"""Durable state of the aggregator: the Store protocol and its implementations. SQL stays in here."""
