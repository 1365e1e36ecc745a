"""Every name that others build against: topics, metrics, labels, headers. Change none without the contract."""

from typing import Final

TOUCHPOINTS: Final = "cx.touchpoints"
FEEDBACK: Final = "cx.feedback"
DEAD_LETTERS: Final = "cx.dead-letters"
TALLIES: Final = "molehill.tallies"

TOUCHPOINT: Final = "cx.touchpoint"
ANSWER: Final = "cx.feedback"
SURVEY: Final = "cx.survey"

ALL: Final = "all"
OTHER: Final = "other"
RELATIONSHIP: Final = "relationship"
PROBE: Final = "voice=probe"
COMPANY: Final = "voice=company"

# Reasons of a refusal, in the order of the checks.
TOO_LARGE: Final = "too_large"
BAD_JSON: Final = "bad_json"
BAD_ENVELOPE: Final = "bad_envelope"
UNKNOWN_TYPE: Final = "unknown_type"
BAD_FIELD: Final = "bad_field"
FROM_FUTURE: Final = "from_future"
TOO_LATE: Final = "too_late"
REASONS: Final = (TOO_LARGE, BAD_JSON, BAD_ENVELOPE, UNKNOWN_TYPE, BAD_FIELD, FROM_FUTURE, TOO_LATE)

# Headers of a dead letter.
H_REASON: Final = "molehill_reason"
H_ERROR: Final = "molehill_error"
H_TOPIC: Final = "molehill_topic"
H_PARTITION: Final = "molehill_partition"
H_OFFSET: Final = "molehill_offset"
H_SHA256: Final = "molehill_sha256"

# Metrics, without the suffix that the exposition format adds to counters.
EVENTS: Final = "cx_events"
WINDOW_EVENTS: Final = "cx_window_events"
BURN: Final = "cx_burn_rate_ratio"
BURN_LOW: Final = "cx_burn_rate_low_ratio"
BUDGET: Final = "cx_error_budget_remaining_ratio"
OBJECTIVE: Final = "cx_objective_ratio"
MOMENT_INFO: Final = "cx_moment_info"
SCORE_MEAN: Final = "cx_score_mean"
SCORE_LOW: Final = "cx_score_mean_low"
SCORE_HIGH: Final = "cx_score_mean_high"
NPS: Final = "cx_nps_ratio"
NPS_LOW: Final = "cx_nps_low_ratio"
NPS_HIGH: Final = "cx_nps_high_ratio"
WAIT: Final = "cx_wait_seconds"
RECEIVED: Final = "molehill_received"
ACCEPTED: Final = "molehill_accepted"
DUPLICATES: Final = "molehill_duplicates"
REJECTED: Final = "molehill_rejected"
WATERMARK: Final = "molehill_watermark_timestamp_seconds"
CLOCK: Final = "molehill_clock_timestamp_seconds"
LAG: Final = "molehill_lag_events"
BUILD_INFO: Final = "molehill_build_info"
