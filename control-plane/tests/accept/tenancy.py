"""Rows A: catalogue, prices, who may do what. What a row's sentence says, watched from outside."""

import uuid

from rows import refused, row
from sluice import Api, check


@row("A1")
def catalogue(world):
    specs = {s["name"]: s for s in world.api("GET", "/v1/specs").json["items"]}
    want = {"kafka.100": (3, 300, 3000, 60, "1300.00", "2.71"), "kafka.300": (3, 900, 10000, 300, "2100.00", "4.38"),
            "kafka.600": (4, 1800, 20000, 600, "4005.00", "8.34"), "kafka.1200": (8, 1800, 20000, 600, "7270.00", "15.15")}
    for name, figures in want.items():
        s = specs.get(name) or {}
        seen = tuple(s.get(k) for k in ("brokers", "partitions", "client_connections", "consumer_groups", "price_per_month", "price_per_hour"))
        check(seen == figures, f"{name}: {seen} is not {figures}")
    for kind in ("regions", "zones", "disk-types", "kafka-versions"):
        check(world.api("GET", f"/v1/{kind}").json["items"], f"/v1/{kind} is empty")
    name = f"kafka.{uuid.uuid4().int % 10**6}"
    new = {k: v for k, v in specs["kafka.100"].items() if k != "name"}
    put = world.api("PUT", f"/operator/v1/specs/{name}", new)
    check(put.status in (200, 201), f"an operator could not add a spec: {put.status} {put.body[:200]}")
    check(name in world.sluice("catalog", "specs").stdout.decode(), "the new spec is not in the catalogue")
    check(world.api("PUT", f"/operator/v1/specs/{name}", {**new, "available": False}).status == 200, "a spec could not be retired")
    listed = [s["name"] for s in world.api("GET", "/v1/specs").json["items"] if s["available"]]
    check(name not in listed, "the retired spec is still offered")
    return f"{len(want)} specs"


@row("A3")
def quote(world):
    body = {"spec": "kafka.100", "storage_gb": 600, "disk_type": "high"}
    answer = world.api("POST", world.path("quotes"), body)
    check(answer.status == 201, f"a quote answered {answer.status}: {answer.body[:200]}")
    # 2.71 + 600 × 0.0013
    check(answer.json["total"] == {"amount": "3.49", "currency": "CNY"}, f"total {answer.json['total']}")
    year = world.api("POST", world.path("quotes"), {**body, "billing": "prepaid", "months": 12}).json
    check(any(line["discount_percent"] > 0 for line in year["lines"]), "no discount for a year")
    other = world.order(quote_id=answer.json["id"], storage_gb=700)
    refused(world.api("POST", world.path("instances"), other, Idempotency_Key=str(uuid.uuid4())), 409, "price-moved")
    return "3.49 CNY/h for 100 MB/s, 600 GB"


@row("A5")
def tenancy(world):
    email = f"viewer-{world.tag}@example.com"
    password = "A-long-passphrase-1"
    member = world.api("POST", world.path("members"), {"email": email, "role": "viewer", "password": password}, Idempotency_Key=str(uuid.uuid4()))
    check(member.status in (200, 201), f"a member could not be added: {member.status} {member.body[:200]}")
    viewer, _ = world.anonymous.sign_in(email, password)
    check(viewer("GET", world.path("instances")).status == 200, "a viewer cannot list")
    problem = refused(viewer("POST", world.path("instances"), world.order(), Idempotency_Key=str(uuid.uuid4())), 403, "forbidden")
    check(problem["params"].get("right"), "the refusal does not name the right")
    private = world.api("POST", "/v1/projects", {"name": f"private-{world.tag}"}, Idempotency_Key=str(uuid.uuid4())).json["id"]
    hidden, missing = viewer("GET", f"/v1/projects/{private}"), viewer("GET", "/v1/projects/prj_01jd9mz5w8e4wahj8k6t3v2q7r")
    refused(hidden, 404, "not-found")
    same = lambda a: {k: v for k, v in a.json.items() if k not in ("instance", "request_id")}
    check(same(hidden) == same(missing), "a hidden project can be told from a missing one")
    world.api("DELETE", f"/v1/projects/{private}", Idempotency_Key=str(uuid.uuid4()))


@row("A6")
def sign_in(world):
    api, tokens = world.anonymous.sign_in(world.credentials["email"], world.credentials["password"])
    spent = tokens["refresh_token"]
    refresh = lambda token: world.anonymous("POST", "/v1/auth/token", {"grant_type": "refresh-token", "refresh_token": token})
    second = refresh(spent)
    check(second.status == 200, f"refresh answered {second.status}")
    check(refresh(spent).status == 401, "a spent refresh token was taken")
    check(refresh(second.json["refresh_token"]).status == 401, "the session outlived the reuse of a spent token")
    check(api("GET", "/v1/me").status == 401, "the access token outlived its session")
    check(world.anonymous("POST", "/v1/auth/token", {"grant_type": "password", "email": world.credentials["email"], "password": "wrong"}).status == 401, "a wrong password was taken")
    account = world.api("POST", world.path("service-accounts"), {"name": f"ci-{world.tag}", "role": "viewer"}, Idempotency_Key=str(uuid.uuid4())).json["id"]
    keys = [world.api("POST", world.path(f"service-accounts/{account}/keys"), {}, Idempotency_Key=str(uuid.uuid4())).json for _ in range(2)]
    for key in keys:
        check(Api(world.url, key["secret"])("GET", world.path("instances")).status == 200, "an API key does not work")
    check(world.api("DELETE", world.path(f"service-accounts/{account}/keys/{keys[0]['id']}"), Idempotency_Key=str(uuid.uuid4())).status in (200, 204), "a key could not be revoked")
    check(Api(world.url, keys[0]["secret"])("GET", world.path("instances")).status == 401, "a revoked key still works")
    check(Api(world.url, keys[1]["secret"])("GET", world.path("instances")).status == 200, "the other key died with it")
    world.api("DELETE", world.path(f"service-accounts/{account}"), Idempotency_Key=str(uuid.uuid4()))
    return "password, JWT, API keys; single sign-on not yet"


@row("A8")
def audit(world):
    name = f"audited-{world.tag}"
    made = world.api("POST", "/v1/projects", {"name": name}, Idempotency_Key=str(uuid.uuid4()))
    events = world.api("GET", "/v1/audit-events").json["items"]
    check(any(e["action"] == "create_project" and e["source_ip"] and e["request_id"] == made.headers["X-Request-Id"] for e in events), "the write is not in the trail")
    check(world.api("DELETE", f"/v1/projects/{made.json['id']}/audit-events").status in (404, 405), "the trail can be deleted")
    world.api("DELETE", f"/v1/projects/{made.json['id']}", Idempotency_Key=str(uuid.uuid4()))


@row("A10")
def idempotency(world):
    key, order = str(uuid.uuid4()), {"name": f"once-{world.tag}"}
    first = world.api("POST", "/v1/projects", order, Idempotency_Key=key)
    again = world.api("POST", "/v1/projects", order, Idempotency_Key=key)
    check((again.status, again.body) == (first.status, first.body) and again.headers["Idempotency-Replayed"] == "true", "a repeat did not replay the first answer")
    refused(world.api("POST", "/v1/projects", {"name": "other-name"}, Idempotency_Key=key), 422, "idempotency-mismatch")
    world.api("DELETE", f"/v1/projects/{first.json['id']}", Idempotency_Key=str(uuid.uuid4()))
