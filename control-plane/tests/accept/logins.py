"""Row D4: mechanisms, tokens, and the life of a user, as Java logs in."""

import base64
import json
import time
import uuid

import mtls
from rows import row, within
from sluice import PlainClient, check, run


@row("D4")
def mechanisms(world):
    """By Java: the librdkafka of Debian 12 has a fault in SCRAM that Kafka 4 refuses, gateway or not."""
    def sign_in(mechanism, password, user):
        properties = world.java_properties(mechanism, user, password)
        return world.java("TopicCommand", "--list", "--command-config", properties, way="private_sasl_ssl", ok=False)

    for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        good = sign_in(mechanism, world.password, world.user)
        check(good.returncode == 0, f"{mechanism}: {good.stderr.decode()[-300:]}")
    wrong = sign_in("SCRAM-SHA-512", "Wrong-pass-1", world.user)
    check(wrong.returncode != 0 and b"SaslAuthenticationException" in wrong.stdout + wrong.stderr, "a wrong password was not refused as such")
    tokens_log_in(world)
    by_certificate = mtls.certificates_sign_in(world)
    took = users_change_live(world, lambda user, password: sign_in("SCRAM-SHA-512", password, user).returncode == 0)
    return f"PLAIN, SCRAM; users refused and their connections closed on every broker {within(took)}; OAUTHBEARER; mTLS, trust that goes is gone {within(by_certificate)}"


def tokens_log_in(world):
    """Tokens of an issuer that the instance trusts, shown by Java's own OAUTHBEARER."""
    name, key, token, keys = world.instance["name"], world.files / "issuer.pem", world.files / "token.jwt", world.files / "keys.json"
    encode = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    run("openssl", "genrsa", "-out", key, "2048")
    modulus = run("openssl", "rsa", "-in", key, "-noout", "-modulus").stdout.decode().strip().partition("=")[2]
    keys.write_text(json.dumps({"keys": [{"kty": "RSA", "alg": "RS256", "kid": "1", "n": encode(bytes.fromhex(modulus)), "e": "AQAB"}]}))
    handler = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLogin"
    properties = world.files / "tokens.properties"
    properties.write_text(
        f"security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nssl.truststore.type=PEM\nssl.truststore.location={world.ca}\n"
        f"sasl.login.callback.handler.class={handler}CallbackHandler\nsasl.oauthbearer.token.endpoint.url=file://{token}\n"
        f"sasl.jaas.config={handler}Module required;\n")

    def sign_in(**claims):
        claims = {"iss": "https://login.acme.example", "aud": "kafka", "sub": "alice", "iat": int(time.time()), "exp": int(time.time()) + 300, **claims}
        signed = f"{encode(json.dumps({'alg': 'RS256', 'kid': '1'}).encode())}.{encode(json.dumps(claims).encode())}"
        signature = run("openssl", "dgst", "-sha256", "-sign", key, stdin=signed.encode()).stdout
        token.write_text(f"{signed}.{encode(signature)}")
        return world.java("TopicCommand", "--list", "--command-config", properties, way="private_sasl_ssl", ok=False,
                          options=[f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://{token}"])

    check(sign_in().returncode != 0, "a token was accepted before anybody trusted its issuer")
    world.sluice("access", "tokens", "trust", name, "--issuer", "https://login.acme.example", "--audience", "kafka", "--keys", keys)
    good = sign_in()
    check(good.returncode == 0, f"OAUTHBEARER: {good.stderr.decode()[-300:]}")
    for what, claims in {"another audience": {"aud": "web"}, "an old token": {"iat": 1, "exp": int(time.time()) - 60}, "a platform name": {"sub": "sluice-node"}}.items():
        bad = sign_in(**claims)
        check(bad.returncode != 0 and b"SaslAuthenticationException" in bad.stdout + bad.stderr, f"{what} was not refused as such: {bad.stderr.decode()[-200:]}")
    world.sluice("access", "tokens", "clear", name)
    check(sign_in().returncode != 0, "a token was accepted after trust was withdrawn")


def users_change_live(world, java_gets_in):
    """A user's life; the longest time until it is refused everywhere and its open connections have ended."""
    name, user = world.instance["name"], f"live-{world.tag}"
    brokers = world.hosts
    processes = world.jvms()
    connect = lambda password: [PlainClient.log_in(broker, world.ca, user, password) for broker in brokers]
    waits = []

    def until_refused(what, password, method, path="", body=None):
        opened = connect(password)
        check(all(opened), f"before {what} the user was refused")
        began = time.monotonic()
        answer = world.api(method, world.path(f"instances/{name}/users/{user}{path}"), body, Idempotency_Key=str(uuid.uuid4()))
        check(answer.status == 202, f"{what} answered {answer.status} {answer.code}")
        while True:
            # Kafka answers a refused login late on purpose: what counts is when it was tried.
            ended, tried = all(client.closed() for client in opened), time.monotonic()
            if ended and not any(connect(password)):
                break
            check(tried - began < 10, f"{what}: still let in, or still connected, after 10 s")
        waits.append(tried - began)
        check(world.wait_job(answer.json["id"])["state"] == "succeeded", f"the job of {what} failed")

    first = world.sluice_json("user", "create", name, user)["secrets"]["password"]
    check(java_gets_in(user, first), "a new user cannot log in")
    until_refused("disabling", first, "PATCH", body={"disabled": True})
    check(not java_gets_in(user, first), "a disabled user got in")
    world.sluice("user", "enable", name, user)
    check(java_gets_in(user, first), "an enabled user cannot log in with its password")
    second = "Kestrel-ridge-42"
    until_refused("the reset", first, "POST", "/reset-password", {"password": second})
    check(not java_gets_in(user, first) and java_gets_in(user, second), "the reset did not change the password")
    until_refused("the deletion", second, "DELETE")
    check(not java_gets_in(user, second), "a deleted user got in")
    check(user not in world.sluice("user", "list", name).stdout.decode(), "a deleted user is listed")
    check(world.jvms() == processes, "a broker restarted")
    return max(waits)
