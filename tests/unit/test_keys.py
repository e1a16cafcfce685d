"""The folder of keys: what is made, with which modes, what is refused and how it is mended."""

from __future__ import annotations

import os
import stat

import pytest
import zmq.auth

from b2d_zmq.errors import RequestError
from b2d_zmq.keys import allowed, client_keys, create, fingerprint, load, load_broker, usual_folder, worker_keys
from b2d_zmq.roles import Holder, Role, role_of

ROLES = ["worker", "client", "admin"]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "keys"
    create(folder, ROLES)
    return folder


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_secrets_are_for_their_owner_alone_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        assert create(tmp_path / "keys", ROLES) == ["broker", *ROLES]
    finally:
        os.umask(before)
    folder = tmp_path / "keys"
    assert mode(folder) == mode(folder / "allowed") == 0o700
    assert {path.name: mode(path) for path in folder.glob("*.key_secret")} == {f"{name}.key_secret": 0o600 for name in ["broker", *ROLES]}
    for public in [folder / "broker.key", *(folder / "allowed").iterdir()]:
        assert not mode(public) & 0o022 and "secret-key" not in public.read_text()
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["allowed", "broker.key", *(f"{name}.key_secret" for name in ["broker", *ROLES])]
    )


def test_the_files_are_those_of_pyzmq(folder):
    for name in ROLES:
        public, secret = zmq.auth.load_certificate(folder / f"{name}.key_secret")
        assert zmq.curve_public(secret) == public
        assert zmq.auth.load_certificates(folder / "allowed")[public]
    assert zmq.auth.load_certificate(folder / "broker.key")[0].decode() == load_broker(folder).public


def test_each_role_finds_its_own_key_and_the_brokers(folder):
    broker = load_broker(folder).public
    for keys, name in ((worker_keys(folder), "worker"), (client_keys(folder), "client"), (client_keys(folder, "admin"), "admin")):
        assert (keys.name, keys.broker) == (name, broker) and len({keys.public, keys.secret, broker}) == 3
    (folder / "admin.key_secret").unlink()
    assert client_keys(folder, "admin").name == "client"
    (folder / "client.key_secret").unlink()
    with pytest.raises(RequestError, match=r"no secret key of a client or admin.*b2d keys create"):
        client_keys(folder)


def test_a_key_may_have_more_than_a_role_in_its_name(folder):
    create(folder, ["worker-gpu7", "client-anna"])
    assert worker_keys(folder).name == "worker"
    (folder / "worker.key_secret").unlink()
    assert worker_keys(folder).name == "worker-gpu7"
    create(folder, ["worker-gpu8"])
    with pytest.raises(RequestError, match=r"several.*worker-gpu7\.key_secret, worker-gpu8\.key_secret"):
        worker_keys(folder)
    holders, troubles = allowed(folder)
    assert not troubles
    assert {holder.name for holder in holders.values()} == {"worker", "client", "admin", "worker-gpu7", "worker-gpu8", "client-anna"}


@pytest.mark.parametrize("name", ["", "boss", "broker", "Worker", "worker_1", "worker-", "client/../x", "worker-a b", "worker-" + "x" * 41])
def test_a_name_without_a_role_is_none(tmp_path, name):
    with pytest.raises(RequestError, match="worker, client or admin"):
        create(tmp_path, [name])
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(folder):
    before = {path: path.read_bytes() for path in folder.rglob("*.key*")}
    for names in (ROLES, ["worker"], ["worker-2", "client"]):
        with pytest.raises(RequestError, match="already"):
            create(folder, names)
    (folder / "client.key_secret").unlink()  # moved to where it is used
    with pytest.raises(RequestError, match="already"):
        create(folder, ["client"])
    assert {path: path.read_bytes() for path in before if path.exists()} == {path: data for path, data in before.items() if path.exists()}


def test_a_secret_that_others_can_read_is_refused_with_the_command_that_mends_it(folder):
    for bits in (0o640, 0o604, 0o660):
        (folder / "client.key_secret").chmod(bits)
        with pytest.raises(RequestError, match=rf"read by others \(mode {bits:04o}\); `chmod 600 .*client.key_secret`"):
            client_keys(folder)
    (folder / "broker.key_secret").chmod(0o644)
    with pytest.raises(RequestError, match="chmod 600"):
        load_broker(folder)
    assert worker_keys(folder)


def test_what_others_could_replace_is_refused(folder):
    (folder / "broker.key").chmod(0o666)
    with pytest.raises(RequestError, match=r"changed by others.*chmod go-w"):
        client_keys(folder)
    (folder / "broker.key").chmod(0o644)
    folder.chmod(0o770)
    for loading in (client_keys, worker_keys, load_broker):
        with pytest.raises(RequestError, match=r"others can put keys there.*chmod go-w"):
            loading(folder)
    folder.chmod(0o700)
    (folder / "allowed").chmod(0o777)
    with pytest.raises(RequestError, match="others can put keys there"):
        allowed(folder)
    (folder / "allowed").chmod(0o755)
    (folder / "allowed" / "client.key").chmod(0o666)
    holders, (trouble,) = allowed(folder)
    assert "client.key can be changed by others" in trouble and {holder.role for holder in holders.values()} == {Role.WORKER, Role.ADMIN}


KEY = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "public-key = \n",
        'curve\n    public-key = "short"\n',
        f'public-key = "{KEY}x"\n',
        f'public-key = "{KEY[:-1]}~"\n',
        f"public-key = {KEY}\n",
        f'xpublic-key = "{KEY}"\n',
        "\0" * 100,
        '"' * 70000 + f'\npublic-key = "{KEY}"\n',
    ],
)
def test_what_is_no_key_file_is_left_out_and_said_so(folder, text):
    (folder / "allowed" / "client-x.key").write_text(text)
    holders, (trouble,) = allowed(folder)
    assert "client-x.key" in trouble and len(holders) == 3


def test_a_secret_key_must_fit_its_public_key(folder):
    one, other = (folder / f"{name}.key_secret" for name in ("client", "worker"))
    lines = one.read_text().splitlines()
    lines[-1] = other.read_text().splitlines()[-1]
    one.write_text("\n".join(lines) + "\n")
    with pytest.raises(RequestError, match="not that of its secret key") as caught:
        client_keys(folder)
    assert lines[-1].split('"')[1] not in str(caught.value)


def test_files_that_are_no_files_are_refused_at_once(folder):
    (folder / "broker.key").unlink()
    os.mkfifo(folder / "broker.key", 0o600)
    with pytest.raises(RequestError, match="no file"):
        client_keys(folder)
    (folder / "allowed" / "client-d.key").mkdir()
    assert "client-d.key" in allowed(folder)[1][0]
    for missing in (folder / "nowhere", folder / "client.key_secret"):
        with pytest.raises(RequestError, match="b2d keys create"):
            client_keys(missing)


def test_one_key_has_one_role(folder):
    text = (folder / "allowed" / "client.key").read_text()
    (folder / "allowed" / "client-again.key").write_text(text)
    holders, troubles = allowed(folder)
    assert not troubles and len(holders) == 3
    (folder / "allowed" / "worker-x.key").write_text(text)
    holders, (trouble,) = allowed(folder)
    assert "another role" in trouble and {holder.role for holder in holders.values()} == {Role.WORKER, Role.ADMIN}


def test_the_fingerprint_changes_with_the_list(folder):
    seen = [fingerprint(folder)]

    def changed():
        seen.append(fingerprint(folder))
        return seen[-1] != seen[-2]

    assert not changed()
    create(folder, ["client-b"])
    assert changed()
    (folder / "allowed" / "client-b.key").chmod(0o666)
    assert changed()
    (folder / "allowed" / "client-b.key").unlink()
    assert changed() and seen[-1] == seen[0]
    (folder / "allowed").rename(folder / "gone")
    assert changed() and not changed()


def test_a_secret_shows_in_no_text(folder):
    keys = load(folder, Role.CLIENT)
    assert keys.secret not in f"{keys!r} {keys!s} {keys}" and keys.public in repr(keys)


def test_without_a_folder_there_are_no_keys(monkeypatch, folder):
    monkeypatch.delenv("B2D_CURVE_DIR", raising=False)
    assert usual_folder(None) is None and client_keys(None) is None and worker_keys("") is None
    monkeypatch.setenv("B2D_CURVE_DIR", str(folder))
    assert client_keys(None).name == "client" and usual_folder("") is None
    with pytest.raises(RequestError, match="'client' or 'admin'"):
        client_keys(None, "worker")


def test_roles_are_in_names():
    assert [role_of(name) for name in ("worker", "client-a.b_c-1", "admin-x")] == [Role.WORKER, Role.CLIENT, Role.ADMIN]
    assert Holder("worker", Role.WORKER).role is Role.WORKER
