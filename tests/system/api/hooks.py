"""What schemathesis cannot know: ids of what there is, and that each POST needs a key of its own."""

import os
import random
import uuid

import schemathesis

CHANCE = random.Random(1)
KNOWN = {"account": "ann", "service": "web-1", "job": "end_trials", "run": "1", "what": "t0", "list": "1", "month": "2020-01"}


@schemathesis.auth()
class Key:
    def get(self, case, context):
        return os.environ["BURSAR_KEY"]

    def set(self, case, data, context):
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def before_call(context, case, kwargs):
    # Wrong keys are counted by where they come from.
    case.headers["X-Forwarded-For"] = "10.%d.%d.%d" % tuple(CHANCE.randrange(256) for _ in range(3))
    sent = {name.lower() for name in case.headers}
    if case.meta and case.meta.generation.mode.is_positive and "idempotency-key" in sent:
        case.headers["Idempotency-Key"] = str(uuid.UUID(int=CHANCE.getrandbits(128)))
    # What a schema cannot say: amounts are not zero, the end of a time is behind its begin, one of some keys is there.
    body, query = case.body, case.query
    if case.meta and case.meta.generation.mode.is_positive and isinstance(body, dict):
        if str(body.get("amount", "1")).strip("-0.") == "":
            body["amount"] = "1.00"
        # In whole cents, as the currency has them.
        if case.operation.label.endswith("/deposits"):
            body["amount"] = "1.25"
        if "currency" in body:
            body["currency"] = "EUR"
        body.pop("at", None)
        if case.operation.label.endswith("/change") and all(body.get(key) is None for key in ("plan", "quantities", "options")):
            body["options"] = []
        if "expires_at" in body:
            body["expires_at"] = "2099-01-01T00:00:00Z"
        if case.operation.label.endswith("/price-lists"):
            body.clear()
            body["plans"] = [{"id": "p%d" % CHANCE.randrange(9), "mode": "daily", "price": "1.00"}]
            body["effective_at"] = "2099-01-01T00:00:00Z"
        if case.operation.label.endswith("/details"):
            body.clear()
            body["company"] = "Ann AG"
    if query and case.meta and case.meta.generation.mode.is_positive:
        for name, day in (("from", "2026-01-01"), ("to", "2027-01-01")):
            if name in query:
                query[name] = day
        # Seconds that are still to come.
        query.pop("at", None)
    for name in case.path_parameters or {}:
        if name in KNOWN and case.meta and case.meta.generation.mode.is_positive and CHANCE.random() < 0.7:
            case.path_parameters[name] = KNOWN[name]
