"""Farms with keys: real processes over encrypted sockets, and all sorts of strangers at the door.

The broker's self-test, the roles and the list that is read again are tried on real sockets here; who may what is tests/unit/test_rights.py.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import zmq
from bench import until
from click.testing import CliRunner

from b2d_zmq import CarlaEnv, CarlaVectorEnv, Client, GRPOCarlaEnv, cli
from b2d_zmq.codec import decode, encode
from b2d_zmq.errors import ErrorCode, Forbidden, LeaseVoid, NoBroker, RequestError, TurnedAway
from b2d_zmq.keys import Keys, client_keys, create, load_broker, secure, worker_keys
from b2d_zmq.protocol import Header, Kind, Message, pack, unpack

BIN = Path(sys.executable).parent
SECONDS = 45
GO = [0.5, 0.0, 0.0]


@pytest.fixture
def keys(tmp_path):
    """The folder of keys of a farm."""
    create(tmp_path / "keys", ["worker", "client", "admin"])
    return tmp_path / "keys"


@pytest.fixture
def strangers(tmp_path, keys):
    """A folder as a stranger would have it: keys of their own, and this farm's public one."""
    create(tmp_path / "strangers", ["worker", "client", "admin"])
    shutil.copy(keys / "broker.key", tmp_path / "strangers" / "broker.key")
    return tmp_path / "strangers"


@pytest.fixture
def start(leaves_nothing, tmp_path):
    """Starts a command with a log; all end with the test."""
    with contextlib.ExitStack() as stack:

        def begin(name, *command, **options):
            log = tmp_path / f"{name}.log"
            with open(log, "ab") as errors:
                process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=errors, **options)
            stack.enter_context(process)
            stack.callback(process.terminate)
            process.log = log.read_text
            return process

        yield begin


def broker(start, folder, *options, name="broker", bind="tcp://127.0.0.1:*"):
    """A broker with keys: the process and its endpoint."""
    process = start(name, BIN / "b2d-broker", "--bind", bind, "--curve-dir", folder, *options)
    line = process.stdout.readline().decode()
    return process, line.split()[-1] if line else ""


def worker(start, folder, endpoint, name="w"):
    options = ["--sensors", "state", "--heartbeat", "0.2", "--endpoint", endpoint, "--name", name, "--curve-dir", folder]
    return start(name, BIN / "b2d-worker", *options)


def free(endpoint, folder):
    """The names of the free workers of a farm."""
    with Client(endpoint, curve_dir=folder) as client:
        return [told["name"] for told in client.status()["workers"] if told["state"] == "free"]


def b2d(*arguments, **environment):
    """A command of b2d, in this process."""
    return CliRunner().invoke(cli.main, [str(word) for word in arguments], env=environment)


def test_a_farm_with_keys_drives_and_strangers_are_told_apart(farm, keys, strangers, leaves_nothing):
    running = farm(workers=2, curve_dir=keys)
    with CarlaEnv(running.endpoint, curve_dir=keys) as env:
        env.reset(seed=1)
        env.step(GO)
        with env.fork(2) as group:
            assert group.identical
            group.step([GO, GO])
    with contextlib.closing(CarlaVectorEnv(running.endpoint, 2, curve_dir=keys)) as envs:
        envs.reset(seed=1)
    GRPOCarlaEnv(2, [running.endpoint], curve_dir=keys).close()
    told = b2d("status", "--json", "--endpoint", running.endpoint, B2D_CURVE_DIR=str(keys))
    assert len(json.loads(told.output)["workers"]) == 2, told.output
    secrets = [path.read_text().split('secret-key = "')[1].split('"')[0] for path in keys.glob("*.key_secret")]
    words = [word for process in leaves_nothing() for word in process.cmdline()]
    assert len(secrets) == 4 and str(keys) in words and not [word for word in words if any(secret in word for secret in secrets)]
    logs = "".join(path.read_text() for path in running.log_dir.iterdir())
    assert not [secret for secret in secrets if secret in logs]
    other = strangers.parent / "other"
    create(other, ["client"])
    for folder, told in ((None, "wants keys"), (strangers, r"does not know the key client .*allowed/client\.key"), (other, r"broker\.key")):
        with Client(running.endpoint, curve_dir=folder, timeout=60.0) as client:
            for _ in range(2):  # the second time is no worse than the first
                with pytest.raises(TurnedAway, match=told):
                    client.status()
    assert isinstance(TurnedAway(""), NoBroker)
    assert "was turned away (the 1. so far)" in running.log("broker")


def test_a_key_on_one_side_only_is_said_so(farm, keys):
    running = farm(workers=1)
    with Client(running.endpoint, curve_dir=keys, timeout=60.0) as client, pytest.raises(TurnedAway, match=r"--curve-dir"):
        client.status()
    assert b2d("status", "--endpoint", running.endpoint, "--curve-dir", keys).exit_code == 69
    assert b2d("status", "--endpoint", running.endpoint).exit_code == 0


def test_a_key_counts_as_soon_as_its_file_is_there_and_no_longer(start, keys, strangers):
    _, endpoint = broker(start, keys)
    waiting = worker(start, strangers, endpoint)
    until(lambda: "turned away" in waiting.log(), SECONDS)
    assert waiting.log().count("is turned away") == 1 and waiting.poll() is None
    with Client(endpoint, curve_dir=strangers, timeout=5.0) as client:
        with pytest.raises(TurnedAway):
            client.status()
        for name in ("worker", "client"):
            shutil.copy(strangers / "allowed" / f"{name}.key", keys / "allowed" / f"{name}-new.key")
        until(lambda: free(endpoint, keys) == ["w"], SECONDS)
        (lease,) = client.acquire(1, wait=5.0)
        (keys / "allowed" / "client-new.key").unlink()
        until(lambda: free(endpoint, keys) == ["w"], SECONDS)
        with pytest.raises((Forbidden, LeaseVoid)):
            client.send(Kind.SNAPSHOT, {}, budget=5.0, lease=lease, seq=1).result()
        with pytest.raises(Forbidden, match="not allowed any more"):
            client.status()
        (keys / "allowed" / "worker-new.key").unlink()
        until(lambda: not free(endpoint, keys), SECONDS)


def test_who_was_let_in_gets_in_again_after_a_broker_without_keys(start, keys):
    first, endpoint = broker(start, keys)
    there = worker(start, keys, endpoint)
    until(lambda: free(endpoint, keys), SECONDS)
    first.terminate()
    first.wait()
    plain = start("plain", BIN / "b2d-broker", "--bind", endpoint)
    assert plain.stdout.readline()
    until(lambda: "is turned away" in there.log(), SECONDS)
    plain.terminate()
    plain.wait()
    broker(start, keys, bind=endpoint)
    until(lambda: free(endpoint, keys), SECONDS)
    assert there.poll() is None


class Peer:
    """A DEALER that speaks by hand, with a key."""

    def __init__(self, context, endpoint, keys, identity=None):
        self.socket, self.number = context.socket(zmq.DEALER), 0
        self.socket.setsockopt(zmq.LINGER, 0)
        if identity:
            self.socket.setsockopt(zmq.IDENTITY, identity)
        secure(self.socket, keys)
        self.socket.connect(endpoint)

    def say(self, kind, body=None, **fields):
        """Send it; the code of the ERROR that comes for it, or None for a REPLY."""
        self.number += 1
        self.socket.send_multipart(pack(Message(Header(kind, self.number, **fields), encode(body or {}))))
        while self.socket.poll(SECONDS * 1000):
            message = unpack(self.socket.recv_multipart())
            if message.header.request == self.number:
                return decode(message.body)["code"] if message.header.kind is Kind.ERROR else None
        raise AssertionError(f"{kind.name} was not answered")


def test_a_key_of_one_role_cannot_do_what_is_for_another(start, keys):
    _, endpoint = broker(start, keys)
    with zmq.Context() as context, contextlib.ExitStack() as stack:

        def peer(own, identity=None):
            one = Peer(context, endpoint, own, identity)
            stack.callback(one.socket.close)
            return one

        trainer, thief, host = peer(client_keys(keys)), peer(client_keys(keys), b"w-1"), peer(worker_keys(keys), b"w-2")
        assert trainer.say(Kind.STATUS) is None
        for kind in (Kind.READY, Kind.HEARTBEAT, Kind.ATTACH, Kind.LOST, Kind.GOODBYE, Kind.RELEASED, Kind.REPLY):
            assert thief.say(kind, {"worker": "w-1", "host": "w-1/h1"}) == ErrorCode.FORBIDDEN
        for kind in (Kind.ACQUIRE, Kind.RELEASE, Kind.STATUS, Kind.DESCRIBE, Kind.KEEPALIVE, Kind.STEP):
            assert host.say(kind, {"client": "t", "n": 1}) == ErrorCode.FORBIDDEN


def test_an_admin_ends_the_lease_of_somebody_else_and_nobody_else_can(farm, keys):
    running = farm(workers=1, curve_dir=keys)
    with Client(running.endpoint, curve_dir=keys) as holder:
        (lease,) = holder.acquire(1, wait=10.0)
        create(keys, ["client-thief"])
        (keys / "client-thief.key_secret").rename(running.log_dir / "client.key_secret")
        shutil.copy(keys / "broker.key", running.log_dir / "broker.key")
        running.log_dir.chmod(0o700)
        release = ("release", lease.name, "--endpoint", running.endpoint, "--curve-dir")
        until(lambda: "came client-thief" in running.log("broker"), SECONDS)
        refused = b2d(*release, running.log_dir)
        assert refused.exit_code == 1 and "is held by" in refused.output, refused.output
        done = b2d(*release, keys)
        assert done.exit_code == 0 and lease.name in done.output, done.output
        with pytest.raises(LeaseVoid, match="released"):
            holder.send(Kind.SNAPSHOT, {}, budget=5.0, lease=lease, seq=1).result()


OPEN_DOOR = "Guard.callback = lambda *_: True"  # an authenticator that knows everybody
NO_DOORMAN = "ThreadAuthenticator.start = lambda self: None"  # an authenticator that never comes
NOT_ENFORCED = """
arm = Guard.arm
def unguarded(self, context, socket):
    arm(self, context, socket)
    self._authenticator.stop()
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 0)
Guard.arm = unguarded
"""


FAULTY = """
import zmq
from zmq.auth.thread import ThreadAuthenticator
from broker import cli
from broker.guard import Guard
{fault}
cli.main()
"""
FAULTS = {
    "knows everybody": (OPEN_DOOR, "as a stranger"),
    "not there": (NO_DOORMAN, "serve nobody"),
    "not asked": (NOT_ENFORCED, "as a stranger"),
}


@pytest.mark.parametrize(("fault", "told"), FAULTS.values(), ids=list(FAULTS))
def test_a_broker_that_would_keep_nobody_out_or_let_nobody_in_does_not_serve(leaves_nothing, keys, fault, told):
    command = [sys.executable, "-c", FAULTY.format(fault=fault), "--bind", "tcp://127.0.0.1:*", "--curve-dir", str(keys)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 78 and told in ended.stderr and not ended.stdout and "Traceback" not in ended.stderr


DIES = "Guard.test = lambda *_: None; Guard.callback = None"  # the first who knocks ends the authenticator


def test_a_broker_whose_authenticator_dies_leaves_to_be_started_again(start, keys):
    code = FAULTY.format(fault=DIES)
    process = start("broker", sys.executable, "-c", code, "--bind", "tcp://127.0.0.1:*", "--curve-dir", keys)
    endpoint = process.stdout.readline().decode().split()[-1]

    def gone():
        with Client(endpoint, curve_dir=keys, timeout=0.5) as client, contextlib.suppress(NoBroker):
            client.status()
        return process.poll() is not None

    until(gone, SECONDS)
    assert process.returncode == 70 and "authenticator has died" in process.log()


def test_with_keys_a_broker_listens_for_other_machines(start, keys):
    process, endpoint = broker(start, keys, bind="tcp://0.0.0.0:*")
    with Client(endpoint.replace("0.0.0.0", "127.0.0.1"), curve_dir=keys) as client:
        assert client.status()["workers"] == []
    assert process.poll() is None


@pytest.mark.parametrize("command", ["b2d-broker", "b2d-worker", "b2d"])
def test_a_secret_that_others_can_read_is_refused_by_every_command(keys, command):
    for path in keys.glob("*.key_secret"):
        path.chmod(0o640)
    words = [str(BIN / command), *(["status"] if command == "b2d" else []), "--curve-dir", str(keys)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == (1 if command == "b2d" else 78)
    assert "can be read by others (mode 0640); `chmod 600 " in ended.stderr and "Traceback" not in ended.stderr
    with pytest.raises(RequestError, match="chmod 600"):
        Client(curve_dir=keys)


def test_the_commands_make_and_list_keys(tmp_path):
    folder = tmp_path / "new"
    made = b2d("keys", "create", folder)
    assert made.exit_code == 0 and f"B2D_CURVE_DIR={folder}" in made.output and "--curve-dir" in made.output
    assert b2d("keys", "create", folder, "worker-gpu7").exit_code == 0
    listed = b2d("keys", "list", folder)
    assert listed.exit_code == 0 and "worker-gpu7" in listed.output and load_broker(folder).public in listed.output
    secrets = [path.read_text().split('secret-key = "')[1].split('"')[0] for path in folder.glob("*.key_secret")]
    assert not [secret for secret in secrets if secret in made.output + listed.output]
    (folder / "allowed" / "worker-gpu7.key").chmod(0o666)
    listed = b2d("keys", "list", folder)
    assert listed.exit_code == 1 and "chmod go-w" in listed.output
    for wrong in (("create", folder), ("create", folder, "boss"), ("list", tmp_path / "nowhere")):
        ended = b2d("keys", *wrong)
        assert ended.exit_code == 1 and ended.output.startswith("Error: ")


def test_a_client_that_waits_hears_that_the_next_broker_does_not_know_it(start, keys, strangers):
    """Nothing is waited for that cannot come: the request that went down with the broker ends when the next one turns its client away."""
    first, endpoint = broker(start, keys)
    with Client(endpoint, curve_dir=keys, timeout=60.0) as client:
        pending = client.send(Kind.DESCRIBE, {"profile": "", "wait": 60.0}, budget=60.0)
        first.kill()
        first.wait()
        (keys / "allowed" / "client.key").unlink()
        broker(start, keys, bind=endpoint, name="second")
        with pytest.raises(TurnedAway, match=r"DESCRIBE was under way.*does not know the key"):
            pending.result()


def test_keys_that_are_shown_show_no_secret(keys):
    own = client_keys(keys)
    assert isinstance(own, Keys) and own.secret not in repr(own)
