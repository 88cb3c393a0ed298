"""The agent: one per node. Start reading at pipeline.py."""
