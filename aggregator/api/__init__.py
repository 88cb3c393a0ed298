"""The REST API, its authentication and its documentation."""
