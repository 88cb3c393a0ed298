"""Falco's rule language: rule files in, compiled rules out. Read in the order of the stages:

reader -> collector -> parser (grammar.py) -> compiler -> ruleset

Both sides use it; it knows neither. Sources of events and their fields are in ``rules.sources``.
"""
