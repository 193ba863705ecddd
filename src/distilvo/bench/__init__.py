"""What a model costs: size, arithmetic, memory, time; beside other models and what a user would pick instead."""

from distilvo.bench.latency import TIMER, latencies_ms

__all__ = ["TIMER", "latencies_ms"]
