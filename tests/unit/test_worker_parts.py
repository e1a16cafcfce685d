"""The small parts of a worker: the progress page, the back-off, signals in a poll loop, the lifeline, exits in words, the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import types

import pytest
from click.testing import CliRunner

from b2d_zmq.lifeline import Lifeline, gone
from b2d_zmq.wakeup import Wakeup
from worker import hosting
from worker.backoff import Backoff
from worker.child import describe_exit
from worker.cli import main
from worker.keeper import Keeper
from worker.plan import Plan
from worker.progress import Page, Progress
from worker.server import Server


@pytest.fixture
def page():
    page = Page.create()
    yield page
    page.close()
    page.close()


def test_a_page_is_read_at_the_other_end(page):
    other = Page(os.dup(page.fd))
    assert other.read() == Progress()
    for jobs in range(5):
        told = Progress(jobs, 11, 1.5, 2.5, 2**40, "ein Bär steht im Weg", 7, "Town12")
        page.write(told)
        assert other.read() == told
    other.close()


def test_words_too_long_for_the_page_are_cut(page):
    page.write(Progress(doing="ä" * 200, place="Town12" * 20))
    assert (page.read().doing, page.read().place) == ("ä" * 120, "Town12" * 8)
    page.write(Progress(doing="x" + "ä" * 200))
    assert page.read().doing.startswith("x" + "ä" * 119)


def test_backoff_grows_and_a_good_run_ends_it():
    backoff = Backoff()
    assert [backoff.after(1.0) for _ in range(10)] == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert backoff.after(61.0) == 0.0
    assert backoff.after(1.0) == 0.5


def test_signals_are_read_like_messages():
    before = signal.getsignal(signal.SIGUSR1)
    wakeup = Wakeup(signal.SIGUSR1)
    assert wakeup.read() == []
    signal.raise_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR1)
    assert wakeup.read() == [signal.SIGUSR1] * 2
    assert wakeup.read() == []
    wakeup.close()
    assert signal.getsignal(signal.SIGUSR1) is before


def test_a_lifeline_is_cut_when_its_parent_lets_go():
    line = Lifeline()
    child = os.dup(line.fd)
    assert not gone(child)
    line.close()
    line.close()
    assert gone(child)
    os.close(child)


def test_exits_are_told_in_words():
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-9) == "signal SIGKILL"


def test_a_keeper_imports_no_simulator():
    code = "import sys, worker.cli; print(' '.join(sys.modules))"
    told = set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())
    assert {"worker.keeper", "worker.owned"} <= told
    assert not told & {"cv2", "carla", "pynvml", "worker.host", "worker.backends.opening", "worker.backends.embedded", "worker.world"}


@pytest.mark.parametrize(
    "arguments, code, said",
    [
        (["--version"], 0, "cli.py"),
        (["--help"], 0, "Examples:"),
        (["--name", "a b"], 2, "letters, digits"),
        (["--endpoint", "nonsense"], 2, "no endpoint; an endpoint is"),
        (["--heartbeat", "0"], 2, "--heartbeat"),
    ],
)
def test_the_command_explains_itself(arguments, code, said):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code
    assert said in result.output


class Watched(Server):
    """A server of which only its end is of interest."""

    ends = 0

    def end(self, now, at_once):
        self.ends += 1


def test_a_keeper_for_which_there_is_no_process_to_be_had_tries_again(monkeypatch):
    def no_more_processes(*_):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    server, control = Watched(), types.SimpleNamespace(send=lambda kind, body: True, listen=lambda now: None)
    keeper = Keeper(Plan("w", "w-1", "tcp://127.0.0.1:1", "faulty:Counts", {}), control, None, server)
    with monkeypatch.context() as starved:
        starved.setattr(hosting, "Child", no_more_processes)
        files = len(os.listdir("/proc/self/fd"))
        assert keeper._act(100.0) is None
        assert (keeper._hosts, server.ends) == (1, 1)  # what was started for it goes too
        assert len(os.listdir("/proc/self/fd")) == files
    assert keeper._act(100.5) is None
    assert keeper._hosts == 1
    assert keeper._act(101.0) is None
    assert keeper._hosts == 2
    keeper.close()
