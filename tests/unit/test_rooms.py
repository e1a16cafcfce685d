"""The house rules that a machine can check: who imports whom, how large a file and a function may be, what is used nowhere."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("b2d_zmq", "broker", "worker")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
FOREIGN = {"b2d_zmq": {"broker", "worker"}, "broker": {"worker"}, "worker": {"broker"}}
CODEC = ROOT / "b2d_zmq" / "codec.py"


def name_of(path):
    return str(path.relative_to(ROOT))


def imported(tree):
    """The top-level names that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


@pytest.fixture(params=MODULES, ids=name_of)
def module(request):
    text = request.param.read_text(encoding="utf-8")
    return request.param, text, ast.parse(text)


def test_a_room_imports_only_what_it_may(module):
    path, _, tree = module
    assert not set(imported(tree)) & FOREIGN[path.relative_to(ROOT).parts[0]]


def test_a_file_begins_with_what_it_is_and_with_the_future(module):
    _, text, tree = module
    assert ast.get_docstring(tree)
    only_words = len(tree.body) == 1
    assert only_words or "from __future__ import annotations" in text


def test_files_and_functions_are_short(module):
    _, text, tree = module
    assert len(text.splitlines()) <= 400
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert not [(node.name, node.lineno) for node in functions if node.end_lineno - node.lineno + 1 > 40]


def test_nothing_unpickles_or_evaluates(module):
    path, _, tree = module
    forbidden = {"pickle", "cPickle", "dill", "marshal", "shelve"} | (set() if path == CODEC else {"msgpack_numpy"})
    assert not set(imported(tree)) & forbidden
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {func.id for func in calls if isinstance(func, ast.Name)} | {func.attr for func in calls if isinstance(func, ast.Attribute)}
    assert not names & {"eval", "exec", "recv_pyobj", "send_pyobj"}
    keywords = {keyword.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for keyword in node.keywords}
    assert "allow_pickle" not in keywords


def test_the_broker_decides_without_socket_clock_or_chance():
    acting = {"server.py", "cli.py", "guard.py", "backlog.py"}
    for path in (ROOT / "broker").glob("*.py"):
        if path.name not in acting:
            names = set(imported(ast.parse(path.read_text(encoding="utf-8"))))
            assert not names & {"zmq", "socket", "time", "random", "secrets", "threading", "os"}, path.name
