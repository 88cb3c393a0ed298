"""The watchkeeper program. The only code that may import both sides, lazily."""
