"""How fast, and at what cost: molehill against its peers on one backlog, every total verified.

Run `pip install -e '.[bench]'`, then `python -m tests.bench --help`. Nothing here runs under pytest, except what
has no timing.
"""
