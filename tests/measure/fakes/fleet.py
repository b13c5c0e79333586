"""A tracker and RPC servers on loopback, and their end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter

from mmasched.errors import Missing
from mmasched.measure.remote.tracker import Place, devices


class Fleet:
    """A tracker with servers; `kill` ends one the hard way. Leaving the context ends them all."""

    def __init__(self, python=(sys.executable,), environment=None):
        self.python, self.environment = [str(word) for word in python], environment
        self.port = _free_port()
        self._processes = []
        # The tracker itself runs on this machine, whatever the servers run on.
        self._start([sys.executable], "tvm.exec.rpc_tracker", self.port, "--silent")

    def serve(self, key):
        port = _free_port()
        tracker = f"127.0.0.1:{self.port}"
        return self._start(self.python, "tvm.exec.rpc_server", port, "--tracker", tracker, "--key", key, "--silent")

    def place(self, key):
        return Place("127.0.0.1", self.port, key)

    def wait(self, seconds, **expected):
        """Until the tracker knows so many devices of each key."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                known = devices(self.place("any"))
            except Missing:
                known = Counter()
            if all(known[key] == count for key, count in expected.items()):
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{dict(known)} instead of {expected} at the tracker after {seconds} s")
            time.sleep(0.2)

    def kill(self, process):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._processes.remove(process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in list(self._processes):
            self.kill(process)

    def _start(self, python, module, port, *options):
        command = [*python, "-m", module, "--host", "127.0.0.1", "--port", str(port), "--port-end", str(port + 1)]
        environment = {**os.environ, **(self.environment or {})}
        # Both start children of their own: a session each, so that all of it can be ended.
        process = subprocess.Popen(
            [*command, *options], start_new_session=True, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._processes.append(process)
        return process


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
