"""The agent: one per node. Start reading at pipeline.py."""

import os

# Before gRPC is imported: its own lines, one for each failed handshake, would flood the log.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
