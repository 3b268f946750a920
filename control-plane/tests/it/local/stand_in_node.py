#!/usr/bin/env python3
"""Stands in for `sluice-node supervisor`: holds the lock, serves the socket, runs a child in place of the JVM."""

import fcntl, http.server, json, os, socketserver, subprocess, sys

directory = sys.argv[sys.argv.index("--dir") + 1]
os.setsid()
os.chdir(directory)
lock = open("supervisor.lock", "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit("another supervisor runs")
spec = json.load(open("spec.json"))
if spec["kafka"]["rack"] == "broken":
    sys.exit("the spec cannot be served")
with open("starts", "a") as starts:
    starts.write(f"{os.getpid()}\n")
child = subprocess.Popen(["sleep", "600"])
# What a stop asks for is refused by nodes of this rack, so that only a kill ends them.
stubborn = spec["kafka"]["rack"] == "stubborn"


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        identity = {"instance": spec["identity"]["instance"], "node_id": spec["identity"]["node_id"],
                    "nonce": os.environ["SLUICE_NODE_NONCE"], "pid": os.getpid(), "boot_id": "", "start_ticks": 0,
                    "gateway_pid": None}
        body = json.dumps({"state": "running", "pid": child.pid, "restarts": 0, "failures": 0, "last_exit": "",
                           "kafka_version": spec["kafka"]["version"], "identity": identity}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = answer

    def do_POST(self):
        if stubborn:
            return self.send_error(503)
        child.terminate()
        child.wait()
        self.answer()
        self.wfile.flush()
        os._exit(0)

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass


if os.path.exists("supervisor.sock"):
    os.remove("supervisor.sock")
socketserver.ThreadingUnixStreamServer("supervisor.sock", Handler).serve_forever()
