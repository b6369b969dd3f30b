"""The campaigns behind `make torture`: they try to make a store lose, corrupt or block something, and count what they tried.

Each module in `campaigns` is one way in which the world misbehaves. `python -m torture --help` says how to run them.
"""
