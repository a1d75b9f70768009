"""LLM agents that learn from their own successes."""

__version__ = "0.1.0"
