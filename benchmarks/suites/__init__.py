"""The same workloads for pytest-benchmark, on eventlog alone: to compare one commit with another.

    python -m pytest benchmarks/suites --benchmark-autosave
    python -m pytest benchmarks/suites --benchmark-compare
"""
