"""Options that several commands have in common: declared here, with their MOLEHILL_… read by each command."""

import click

from streams import names

brokers = click.option("--brokers", metavar="HOST:PORT[,…]", help="Kafka's bootstrap servers.")
touchpoints = click.option("--touchpoints", metavar="TOPIC", help=f"Default {names.TOUCHPOINTS}.")
feedback = click.option("--feedback", metavar="TOPIC", help=f"Default {names.FEEDBACK}.")
dead_letters = click.option("--dead-letters", metavar="TOPIC", help=f"Default {names.DEAD_LETTERS}.")
