"""Runs unchanged Kafka clients of many languages against an instance, or against a plain Kafka.

`plan` turns cases.toml into cases, `toolchains` builds the clients, `processes` runs them, `direct` starts
a plain Kafka to compare with. Only the standard library is used. Nothing here knows how an instance came
to be: addresses, user and trust stores are given.
"""
