"""A sluiced of one's own for a test: started on a free port, spoken to by kubectl or directly, stopped or killed."""
import base64
import http.client
import json
import os
import pathlib
import re
import select
import signal
import ssl
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("SL_BUILD", ROOT / "build-asan"))


class Sluiced:
    def __init__(self, data_dir, *arguments):
        self.data_dir = pathlib.Path(data_dir)
        self.arguments = arguments
        self.listen = "127.0.0.1:0"
        self.process = None
        self.start()

    @property
    def kubeconfig(self):
        return self.data_dir / "kubeconfig"

    def start(self):
        self.log = open(str(self.data_dir) + ".log", "ab")
        self.process = subprocess.Popen(
            [str(BUILD / "src/main/sluiced"), "--data-dir", str(self.data_dir), "--listen", self.listen, *self.arguments],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = read_line(self.process.stdout, 30)
        match = re.match(r"ready api=(https://(\S+):(\d+))", line or "")
        if not match:
            self.kill()
            raise AssertionError(f"no ready line but {line!r}: {self.stderr()}")
        self.urls = dict(word.split("=", 1) for word in line.split()[1:])  # api, and with a proxy gateway and admin
        self.url, self.host, self.port = match.group(1), match.group(2), int(match.group(3))
        self.listen = f"{self.host}:{self.port}"  # a restart keeps the address, so the kubeconfig in use stays right

    def stderr(self):
        return pathlib.Path(str(self.data_dir) + ".log").read_text()

    def stop(self):
        """In order; returns the exit status."""
        if self.process is None:
            return None
        self.process.send_signal(signal.SIGTERM)
        return self._reap()

    def kill(self):
        if self.process is None:
            return None
        self.process.kill()
        return self._reap()

    def _reap(self):
        try:
            status = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.process.stdout.close()
        self.log.close()
        self.process = None
        return status

    def tls(self, with_certificate=True):
        text = self.kubeconfig.read_text()

        def field(name):
            return base64.b64decode(re.search(name + r": (\S+)", text).group(1))

        context = ssl.create_default_context(cadata=field("certificate-authority-data").decode())
        if with_certificate:
            pem = self.data_dir / "test-client.pem"
            pem.write_bytes(field("client-certificate-data") + field("client-key-data"))
            context.load_cert_chain(pem)
        return context

    def request(self, method, path, body=None, headers=None, with_certificate=True):
        """Returns (status, headers, text)."""
        connection = http.client.HTTPSConnection(self.host, self.port, context=self.tls(with_certificate), timeout=30)
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        finally:
            connection.close()

    def api(self, method, path, body=None, headers=None, expect=None):
        """As request, but parsed; `expect` is the status wanted."""
        status, _, text = self.request(method, path, body, headers)
        assert expect is None or status == expect, f"{method} {path}: {status} {text}"
        return json.loads(text)


class Kubectl:
    def __init__(self, binary, kubeconfig, home):
        self.binary, self.kubeconfig, self.home = binary, kubeconfig, pathlib.Path(home)
        version = subprocess.run([binary, "version", "--client"], capture_output=True, text=True, timeout=60).stdout
        self.minor = int(re.search(r'(?:v1\.|Minor:")(\d+)', version).group(1))

    def command(self, *arguments):
        return [self.binary, "--kubeconfig", str(self.kubeconfig), "--cache-dir", str(self.home / "cache"), *arguments]

    def environment(self, **more):
        return {**os.environ, "HOME": str(self.home), **more}

    def run(self, *arguments, input=None, env=None):
        return subprocess.run(self.command(*arguments), input=input, capture_output=True, text=True, timeout=60,
                              env=self.environment(**(env or {})))

    def __call__(self, *arguments, input=None, env=None):
        """What it prints; fails the test when it fails."""
        done = self.run(*arguments, input=input, env=env)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def fails(self, *arguments, input=None, status=None):
        """What it prints on standard error; fails the test when it does not fail."""
        done = self.run(*arguments, input=input)
        assert done.returncode != 0 and (status is None or done.returncode == status), done.stdout
        return done.stderr + done.stdout

    def json(self, *arguments):
        return json.loads(self(*arguments, "-o", "json"))

    def start(self, *arguments):
        return subprocess.Popen(self.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                env=self.environment())


def read_line(stream, seconds):
    """One line, or None when none comes in time or the stream ends."""
    deadline = time.monotonic() + seconds
    line = b""
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([stream.fileno()], [], [], left)[0]:
            return None
        byte = os.read(stream.fileno(), 1)
        if not byte:
            return line.decode() or None
        line += byte
    return line.decode()


def eventually(condition, seconds=20):
    """The first true answer of condition(); fails the test when none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)  # the pace of asking; what ends the wait is the answer
