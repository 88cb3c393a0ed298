"""The aggregator: one per fleet. Start reading at service.py."""

import os

# Before gRPC is imported: its own lines, one for each failed handshake, would flood the log.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
