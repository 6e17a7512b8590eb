
# What tests need to differ; ci/services appends this to the configuration that Bugsink writes.
import os

BUGSINK.update({
    "PHONEHOME": False,
    "INGEST_STORE_BASE_DIR": os.path.join(os.getcwd(), "ingestion"),
    "MAX_EVENTS_PER_PROJECT_PER_HOUR": 10_000_000,
    "MAX_EVENTS_PER_PROJECT_PER_MONTH": 10_000_000,
    "MAX_EVENTS_PER_HOUR": 10_000_000,
    "MAX_EVENTS_PER_MONTH": 10_000_000,
})
