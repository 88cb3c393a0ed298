"""The dashboard: pages rendered here, made lively by one small script."""
