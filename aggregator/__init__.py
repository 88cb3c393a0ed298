"""The aggregator: one per fleet. Start reading at service.py."""
