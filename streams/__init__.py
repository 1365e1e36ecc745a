"""The functional core of molehill: no Kafka, no files, no clock. Time comes in as an argument."""
