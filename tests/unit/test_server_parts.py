"""The small parts of owning a server: installation, command line, logs, wear, quarantine, what is left behind, the child's side."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import types

import fakecarla
import pytest
from bench import ended, until

from b2d_zmq.errors import RequestError
from worker import carla_root, locks, output, processes
from worker.backoff import ASIDE, WITHIN, Quarantine
from worker.child import Child, tied
from worker.external import ExternalServer
from worker.launch import MARK, Drawing, check_flags, command, environment
from worker.locks import run_folder, take
from worker.options import server_plan
from worker.output import LogFile, Relay
from worker.owned import OwnedServer
from worker.plan import ExternalPlan, ServerPlan
from worker.ports import Block
from worker.record import Record
from worker.wear import SLACK, Limits, Wear

GB = 10**9


@pytest.fixture
def root(tmp_path):
    return fakecarla.install(tmp_path / "CARLA 0.9.15")


def test_an_installation_is_found_with_its_version(root):
    assert carla_root.find(str(root)).version == ""
    (root / "VERSION").write_text("0.9.15-3-gabcdef\n")
    found = carla_root.find(str(root))
    assert (found.path, found.version) == (root, "0.9.15")
    assert os.access(found.binary, os.X_OK)


@pytest.mark.parametrize("below", ["CarlaUE4", "CarlaUE4/Binaries", ".."])
def test_a_folder_near_by_is_advised(root, below):
    with pytest.raises(RequestError, match=r"CARLA 0\.9\.15 has"):
        carla_root.find(str(root / below) if below != ".." else str(root.parent))


def test_what_is_no_installation_is_refused(root, tmp_path):
    with pytest.raises(RequestError, match=r"does not exist; give the folder in which CarlaUE4\.sh lies"):
        carla_root.find(str(tmp_path / "nothing"))
    with pytest.raises(RequestError, match="is no folder"):
        carla_root.find(str(root / "CarlaUE4.sh"))
    binary = carla_root.find(str(root)).binary
    binary.chmod(0o600)
    with pytest.raises(RequestError, match="chmod"):
        carla_root.find(str(root))
    binary.unlink()
    with pytest.raises(RequestError, match=r"is not whole: .*Shipping is missing"):
        carla_root.find(str(root))


def test_a_folder_that_this_user_may_not_read_is_refused(root, monkeypatch):
    def forbidden(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(carla_root.Path, "is_dir", forbidden)
    with pytest.raises(RequestError, match=r"cannot be looked into \(Permission denied: .*CARLA 0\.9\.15"):
        carla_root.find(str(root))


def test_unreal_5_is_told_apart(tmp_path):
    (tmp_path / "CarlaUnreal.sh").write_text("")
    with pytest.raises(RequestError, match="Unreal Engine 5"):
        carla_root.find(str(tmp_path))


@pytest.mark.parametrize(
    "ours, said", [("", "CARLA's client is not installed"), ("0.9.14", "the client here is 0.9.14: they must be the same")]
)
def test_a_client_that_does_not_fit_is_refused(root, monkeypatch, ours, said):
    (root / "VERSION").write_text("0.9.15")
    monkeypatch.setattr(carla_root, "client_version", lambda: ours)
    with pytest.raises(RequestError, match=said):
        carla_root.check_client(carla_root.find(str(root)))
    monkeypatch.setattr(carla_root, "client_version", lambda: "0.9.15")
    carla_root.check_client(carla_root.find(str(root)))


def test_the_command_line():
    drawn = command("/c/bin", Block(20000), Drawing(True, 3, "Low"), ["-RPCThreads=2"])
    assert drawn[:4] == ["/c/bin", "CarlaUE4", "-carla-rpc-port=20000", "-carla-streaming-port=20001"]
    assert drawn[4:] == ["-RenderOffScreen", "-quality-level=Low", "-graphicsadapter=3", "-nosound", "-RPCThreads=2"]
    assert command("/c/bin", Block(20000), Drawing(False, 3), [])[4:] == ["-nullrhi", "-nosound"]


def test_flags_that_contradict_the_worker_are_refused():
    check_flags(["-RPCThreads=2", "-benchmark"])
    for flag in ("-carla-rpc-port=1", "-NULLRHI", "-GraphicsAdapter=2"):
        with pytest.raises(RequestError, match="the worker sets"):
            check_flags([flag])


def test_condas_libraries_are_kept_from_the_server():
    base = {"CONDA_PREFIX": "/opt/conda", "LD_LIBRARY_PATH": "/opt/conda/lib:/usr/local/nvidia/lib64"}
    given = environment(base, "mark", gpu=False)
    assert given["LD_LIBRARY_PATH"] == "/usr/local/nvidia/lib64"
    assert given[MARK] == "mark"
    assert "VK_ICD_FILENAMES" not in given


def plan(backend="carla", **given):
    nothing = dict.fromkeys(("carla_root", "carla_host", "carla_port", "run_dir", "adapter", "log_dir"))
    more = {
        "gpu": "auto",
        "rendering": "auto",
        "quality": "Epic",
        "flags": (),
        "growth": 2.0,
        "memory": 1.5,
        "episodes": 0,
        "log_bytes": 65536,
    }
    return server_plan(backend, "state", **{**nothing, **more, **given})


def test_which_server_a_worker_needs(root, monkeypatch):
    monkeypatch.setattr(carla_root, "client_version", lambda: "0.9.15")
    monkeypatch.delenv("CARLA_ROOT", raising=False)
    assert plan("embedded") is None
    assert plan("own:Backend") is None
    with pytest.raises(RequestError, match="for --backend carla"):
        plan("embedded", carla_root=str(root))
    with pytest.raises(RequestError, match="for --backend carla"):
        plan("embedded", carla_port=2000)
    with pytest.raises(RequestError, match="no CARLA to drive"):
        plan()
    assert plan(carla_host="there")[:3] == ("there", 2000, True)
    assert plan(carla_port=2004, rendering="null")[:3] == ("127.0.0.1", 2004, False)
    monkeypatch.setenv("CARLA_ROOT", str(root))
    assert plan().root.path == root
    assert plan().limits == Limits(2.0, 1_500_000_000, 0)
    assert plan("embedded") is None  # whoever has CARLA installed may use the embedded world all the same
    assert plan("own:Backend") is None


def test_a_server_has_one_worker_by_whatever_name(tmp_path):
    first = ExternalServer(ExternalPlan("localhost", 2000, True, str(tmp_path / "run")))
    with pytest.raises(RequestError, match=r"another worker already uses the CARLA server at 127\.0\.0\.1:2000"):
        ExternalServer(ExternalPlan("127.0.0.1", 2000, True, str(tmp_path / "run")))
    first.close()


def test_a_server_that_grows_is_worn_and_another_map_is_no_growth():
    wear = Wear(Limits())
    assert wear.seen("Town03", 2 * GB, 1) == ""
    assert wear.seen("Town03", int(3.9 * GB), 9) == ""
    assert wear.seen("Town12", 9 * GB, 10) == ""
    assert wear.seen("Town03", 9 * GB, 11) == ""  # it never gives memory back
    assert "grew from 9.00 GB after loading to 19.00 GB" in wear.seen("Town03", 19 * GB, 12)


def test_a_small_server_may_double():
    wear = Wear(Limits())
    wear.seen("Town03", 100_000_000, 1)
    assert wear.seen("Town03", 900_000_000, 2) == ""
    assert wear.seen("Town03", 100_000_001 + SLACK, 2)


def test_memory_and_age_have_limits_of_their_own():
    assert "the most is 4.00 GB" in Wear(Limits(0.0, 4 * GB)).seen("", 5 * GB, 1)
    assert "served 50 episodes" in Wear(Limits(0.0, 0, 50)).seen("", 5 * GB, 50)
    assert Wear(Limits(0.0)).seen("", 5 * GB, 50) == ""


def test_five_failed_starts_put_a_server_aside_until_one_succeeds():
    quarantine = Quarantine()
    assert [quarantine.failed(float(now)) for now in range(5)] == [0.0, 0.0, 0.0, 0.0, ASIDE]
    assert quarantine.failed(5000.0) == ASIDE  # one try, which failed too
    quarantine.succeeded()
    assert [quarantine.failed(now * WITHIN) for now in range(10, 20)] == [0.0] * 10


def test_a_full_log_moves_away_and_its_last_words_stay(tmp_path):
    log = LogFile(tmp_path / "deep" / "server.log", 1000)
    log.begin("server 1")
    os.write(log.fd, b"old words\n")
    log.begin("server 2")
    os.write(log.fd, b"".join(b"line %d\n" % number for number in range(200)))
    assert log.tail(2) == "line 198\nline 199"
    log.rotate()
    assert log.path.stat().st_size == 0
    assert log.older.stat().st_size > 1000
    assert log.tail(2) == "line 198\nline 199"
    os.write(log.fd, b"line 200\n")
    assert log.tail(2) == "line 199\nline 200"
    assert log.path.read_text() == "line 200\n"
    log.begin("server 3")
    assert log.tail() == ""  # the words of the server before are not this one's
    log.close()
    log.close()
    with pytest.raises(RequestError, match="--server-log-dir"):
        LogFile(tmp_path / "deep" / "server.log" / "no", 1000)


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_costs_old_words_and_no_worker(tmp_path, monkeypatch):
    log = LogFile(tmp_path / "server.log", 1000)
    log.older.write_text("words of before")
    os.write(log.fd, b"x" * 2000)
    monkeypatch.setattr(output.shutil, "copyfile", full)
    log.rotate()
    assert log.path.stat().st_size == 0
    assert not log.older.exists()
    log.close()
    monkeypatch.setattr(output.sys, "stderr", types.SimpleNamespace(buffer=types.SimpleNamespace(write=full)))
    relay = Relay()
    os.write(relay.write, b"last words")
    relay.started()
    relay.close()
    assert relay.tail() == "last words"


def test_a_full_disk_leaves_a_lock_a_lock(tmp_path, monkeypatch):
    lock = take(tmp_path / "a.lock")
    monkeypatch.setattr(locks.os, "pwrite", full)
    lock.write("words")
    assert take(tmp_path / "a.lock") is None
    lock.close()


def left_behind(folder, mark, told):
    """A process that carries a mark, and the lock file that tells of it."""
    process = subprocess.Popen(["sleep", "600"], start_new_session=True, env={**os.environ, MARK: mark})
    until(lambda: processes.has_mark(process.pid, f"{MARK}={mark}"))  # for a moment after its exec a process has no environment
    start = processes.look(process.pid).start
    record = {"pid": process.pid, "start": start, "mark": "m1", "boot": processes.boot(), **told}
    (folder / "worker-w.lock").write_text(json.dumps(record))
    return process


@pytest.mark.parametrize(
    "mark, told, ends",
    [
        ("m1", {}, True),
        ("other", {}, True),  # proven by pid and start time
        ("m1", {"start": 5}, True),  # proven by the mark
        ("other", {"start": 5}, False),
        ("m1", {"boot": "of before"}, False),
        ("m1", {"mark": None, "pid": None}, False),
    ],
)
def test_only_what_is_proven_to_be_left_behind_is_ended(tmp_path, mark, told, ends):
    folder = run_folder(str(tmp_path / "run"))
    process = left_behind(folder, mark, told)
    try:
        record = Record(folder, "w")
        assert record.sweep() == ends
        assert record.sweep() == 0
        record.close()
        assert not ends or until(lambda: ended(process.pid))
        assert process.poll() == (-signal.SIGKILL if ends else None)
    finally:
        process.kill()
        process.wait()


def test_what_is_ending_already_is_no_trouble_to_a_sweep(tmp_path, monkeypatch):
    folder = run_folder(str(tmp_path / "run"))
    process = left_behind(folder, "m1", {})
    orphan = processes.look(process.pid)
    process.kill()
    process.wait()
    monkeypatch.setattr(processes, "members", lambda group: [orphan])
    record = Record(folder, "w")
    assert record.sweep() == 1
    record.close()


def test_a_signal_to_a_child_that_is_over_leaves_its_group_to_be_ended(tmp_path):
    with open(tmp_path / "out", "w+b") as out:
        child = Child(["/bin/sh", "-c", "sleep 600 & echo $!"], out.fileno())
        until(child.ended)
        grandchild = int((tmp_path / "out").read_text())
        child.send(signal.SIGUSR1)
        assert not ended(grandchild)
        assert child.reap() == 0
        until(lambda: ended(grandchild))


def test_a_machine_that_changes_is_no_wrong_configuration(root, tmp_path, monkeypatch, caplog):
    def missing(now):
        raise RequestError("--gpu 1: no such GPU here")

    plan = ServerPlan(carla_root.find(str(root)), cameras=False, flags=("-refuse",), run_dir=str(tmp_path / "run"))
    server = OwnedServer(plan, "w")
    try:
        find = server._finder.find
        monkeypatch.setattr(server._finder, "find", missing)
        with pytest.raises(RequestError):
            server.ready(0.0)
        monkeypatch.setattr(server._finder, "find", find)
        assert server.ready(0.0)
        until(lambda: server.died(0.0))
        monkeypatch.setattr(server._finder, "find", missing)
        assert not server.ready(1.0)
        assert "cannot be started now: --gpu 1: no such GPU here" in server.doing
        assert server.wake() == 2.0
        assert not server.ready(2.0)
        assert [record.levelname for record in caplog.records if "cannot be started now" in record.message] == ["WARNING"]  # said once
        monkeypatch.setattr(server._finder, "find", find)
        assert server.ready(3.0)
    finally:
        server.close()


def test_a_tied_child_becomes_what_it_is_told_and_fails_in_words(tmp_path):
    with open(tmp_path / "out", "w+b") as out:
        child = Child(tied(["/bin/sh", "-c", "echo I am $$"]), out.fileno())
        until(child.ended)
        assert child.reap() == 0
        assert child.reap() == 0
        child = Child(tied([str(tmp_path)]), out.fileno())
        until(child.ended)
        assert child.reap() == 1
    told = (tmp_path / "out").read_text()
    assert "I am" in told
    assert f"{tmp_path} cannot be run: Permission denied" in told


TIED = "from worker.child import Child, tied; child = Child(tied(['/bin/sleep', '600']), 2)"
SURVEY = "from worker import inquiry; inquiry.python_command = lambda *_: ['/bin/sleep', '600']; child = inquiry.Inquiry(0.0)._child"


@pytest.mark.parametrize("start", [TIED, SURVEY])
def test_a_tied_child_dies_with_its_parent(start):
    code = f"import sys; {start}; print(child.pid, flush=True); sys.stdin.read()"
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    until(lambda: ended(pid))


def test_a_process_is_described_by_the_kernel():
    child = subprocess.Popen(["sleep", "600"], start_new_session=True, env={"A_MARK": "x"})
    try:
        look = processes.look(child.pid)
        assert (look.pid, look.group) == (child.pid, child.pid)
        until(lambda: processes.has_mark(child.pid, "A_MARK=x"))
        assert not processes.has_mark(child.pid, "A_MARK")
        assert [process.pid for process in processes.members(child.pid)] == [child.pid]
        assert processes.resident_bytes(os.getpid()) > 1_000_000
    finally:
        child.kill()
        until(lambda: processes.look(child.pid).state == "Z")
        assert processes.members(child.pid) == []
        child.wait()
    assert processes.look(child.pid) is None
    assert processes.resident_bytes(child.pid) == 0
