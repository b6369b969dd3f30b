"""docs/benchmarks.md with its plots, made of the figures in build/bench/: `python -m benchmarks.report`."""
