"""A simulated shop's events as JSON lines, as they happen: for `molehill emit`. Needs molehill to be installed.

It starts with the present. On a restart some events of the last minutes come again under their old ids or new
ones, which is what an upstream system does as well.
"""

import datetime as dt
import sys
import time

from agents.simulate import Shop

PAUSE_S = 0.25


def main() -> None:
    """Until it is ended, or nobody reads any more."""
    now = dt.datetime.now(dt.UTC)
    feed = Shop(now).feed(now)
    while True:
        for _, _, value in feed.until(dt.datetime.now(dt.UTC)):
            sys.stdout.buffer.write(value + b"\n")
        sys.stdout.buffer.flush()
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(0)
