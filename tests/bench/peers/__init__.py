"""The peers: each drains the backlog in a process of its own and writes what it counted (see `meter`)."""
