"""Keys: the folder by which processes of a farm know each other (CURVE), and strangers stay out.

A folder holds ``broker.key``, the broker's public key, which whoever connects needs; ``NAME.key_secret``, secret keys, each for its owner
alone; and ``allowed/NAME.key``, the public keys that the broker lets in. The role of a key is in its name: ``worker``, ``client`` or
``admin``, alone or with a dash and more (``worker-gpu7``). The files are those of pyzmq and czmq. A secret that others can read is refused,
and so is what others could replace; nothing secret is ever a word of a command or of a log.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import zmq

from .errors import RequestError
from .roles import Holder, Role, role_of

BROKER = "broker"
LEAST_LIBZMQ = (4, 3, 3)  # older ones can be crashed by strangers in spite of CURVE (CVE-2020-15166)
_READ_BY_OTHERS, _WRITTEN_BY_OTHERS = 0o077, 0o022
_Z85 = r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}"


class Keys(NamedTuple):
    """One process's own pair of keys and the broker's public one, as Z85 text; ``name`` is that of the file."""

    name: str
    public: str
    secret: str
    broker: str

    def __repr__(self) -> str:
        return f"Keys({self.name!r}, {self.public!r})"  # a secret is not for logs and tracebacks


def usual_folder(given: str | os.PathLike[str] | None) -> Path | None:
    """The folder of keys: the one given, or ``$B2D_CURVE_DIR``, or None: no keys."""
    folder = os.fspath(given) if given is not None else os.environ.get("B2D_CURVE_DIR", "")
    return Path(folder).expanduser() if folder else None


def load(folder: Path, *roles: Role) -> Keys:
    """The keys of a process that connects in the first of ``roles`` that the folder has a secret key for. Raises RequestError."""
    _require_curve()
    _check_folder(folder)
    secret = _secret_of(folder, roles)
    public, own = _pair(secret)
    return Keys(secret.stem, public, own, _public(folder / f"{BROKER}.key"))


def client_keys(curve_dir: str | os.PathLike[str] | None, role: str = "client") -> Keys | None:
    """The keys of a client, or an admin's, whichever is there if not that; None for a farm without keys. Raises RequestError."""
    folder = usual_folder(curve_dir)
    if role not in (Role.CLIENT.value, Role.ADMIN.value):
        raise RequestError(f"a role is 'client' or 'admin', not {role!r:.60}")
    roles = (Role.CLIENT, Role.ADMIN) if role == Role.CLIENT.value else (Role.ADMIN, Role.CLIENT)
    return load(folder, *roles) if folder is not None else None


def worker_keys(curve_dir: str | os.PathLike[str] | None) -> Keys | None:
    """The keys of a worker; None for a farm without keys. Raises RequestError."""
    folder = usual_folder(curve_dir)
    return load(folder, Role.WORKER) if folder is not None else None


def load_broker(folder: Path) -> Keys:
    """The broker's own keys. Raises RequestError."""
    _require_curve()
    _check_folder(folder)
    secret = folder / f"{BROKER}.key_secret"
    if not secret.exists():
        raise RequestError(f"{folder} has no {secret.name}, the broker's secret key; make keys with `b2d keys create {folder}`")
    public, own = _pair(secret)
    return Keys(BROKER, public, own, public)


def allowed(folder: Path) -> Tuple[Dict[str, Holder], List[str]]:
    """Public key -> holder, and in words what is wrong with the files that are left out. Raises RequestError where no list can be had."""
    place = folder / "allowed"
    _check_folder(place)
    holders: Dict[str, Holder] = {}
    troubles: List[str] = []
    for path in sorted(place.glob("*.key")):
        try:
            holder, key = Holder(path.stem, role_of(path.stem)), _public(path)
        except RequestError as error:
            troubles.append(str(error))
            continue
        other = holders.setdefault(key, holder)
        if other.role is not holder.role:
            troubles.append(f"{path} is the key of {other.name}, which has another role; one key has one role")
            del holders[key]
    return holders, troubles


def fingerprint(folder: Path) -> Any:
    """Something that changes when the list of allowed keys may have changed; cheap, to be compared every second."""
    try:
        with os.scandir(folder / "allowed") as entries:
            looks = [(entry.name, entry.stat()) for entry in entries if entry.name.endswith(".key")]
            return sorted((name, look.st_mtime_ns, look.st_size, look.st_ino, look.st_mode) for name, look in looks)
    except OSError as error:
        return error.errno


def secure(socket: zmq.Socket[bytes], keys: Keys | None) -> None:
    """Have a socket that will connect use these keys; without keys it stays as it is."""
    if keys is not None:
        socket.curve_publickey, socket.curve_secretkey = keys.public.encode(), keys.secret.encode()
        socket.curve_serverkey = keys.broker.encode()


def create(folder: Path, names: Sequence[str]) -> List[str]:
    """Make the keys of these names, and the broker's where it has none; the names made. Overwrites nothing. Raises RequestError."""
    _require_curve()
    for name in names:
        role_of(name)
    wanted = [name for name in dict.fromkeys([BROKER, *names]) if not any(path.exists() for path in _files(folder, name))]
    taken = [name for name in names if name not in wanted] or ([] if wanted else [BROKER])
    if taken:
        raise RequestError(f"{folder} has a key of {', '.join(taken)} already, and it stays; give the new one another name")
    for place in (folder, folder / "allowed"):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_folder(place)
    for name in wanted:
        public, secret = (key.decode() for key in zmq.curve_keypair())
        _write(folder / f"{name}.key_secret", _text(name, public, secret), 0o600)
        _write(_files(folder, name)[1], _text(name, public), 0o644)
    return wanted


def _files(folder: Path, name: str) -> Tuple[Path, Path]:
    """Where the secret and the public key of this name belong."""
    return folder / f"{name}.key_secret", (folder if name == BROKER else folder / "allowed") / f"{name}.key"


def _secret_of(folder: Path, roles: Sequence[Role]) -> Path:
    """The secret key file for the first role that has one."""
    for role in roles:
        found = [folder / f"{role.value}.key_secret"]
        if not found[0].exists():
            found = sorted(folder.glob(f"{role.value}-*.key_secret"))
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise RequestError(f"{folder} has several secret keys of a {role.value} ({names}); put the one to use into a folder of its own")
        if found:
            return found[0]
    wanted = " or ".join(role.value for role in roles)
    raise RequestError(
        f"{folder} has no secret key of a {wanted}; make one where the broker is (`b2d keys create DIR {roles[0].value}-NAME`) "
        f"and copy its .key_secret file, and {BROKER}.key, there"
    )


def _pair(path: Path) -> Tuple[str, str]:
    text = _read(path, _READ_BY_OTHERS)
    public, secret = _key(path, text, "public"), _key(path, text, "secret")
    try:
        fits = zmq.curve_public(secret.encode()).decode() == public
    except zmq.ZMQError:
        fits = False
    if not fits:
        raise RequestError(f"{path}: its public key is not that of its secret key; make a new pair with `b2d keys create`")
    return public, secret


def _public(path: Path) -> str:
    return _key(path, _read(path, _WRITTEN_BY_OTHERS), "public")


def _key(path: Path, text: str, kind: str) -> str:
    found = re.search(rf'^\s*{kind}-key\s*=\s*"({_Z85})"\s*$', text, re.MULTILINE)
    if found is None:
        raise RequestError(f'{path} has no {kind} key; a line such as {kind}-key = "..." with 40 characters is wanted')
    return found.group(1)


def _read(path: Path, forbidden: int) -> str:
    """The text of a key file; refused where its mode has one of the ``forbidden`` bits."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            look = os.fstat(file.fileno())
            if not stat.S_ISREG(look.st_mode):
                raise RequestError(f"{path} is no file")
            if look.st_mode & forbidden:
                told = "be read" if forbidden == _READ_BY_OTHERS else "be changed"
                mend = f"chmod 600 {path}" if forbidden == _READ_BY_OTHERS else f"chmod go-w {path}"
                raise RequestError(f"{path} can {told} by others (mode {stat.S_IMODE(look.st_mode):04o}); `{mend}` mends that")
            return file.read(65536).decode("utf-8", "replace")
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):  # nothing is wrong with the file
            raise
        raise RequestError(f"{path} cannot be read: {error.strerror}") from None


def _check_folder(folder: Path) -> None:
    try:
        mode = folder.stat().st_mode
    except OSError as error:
        raise RequestError(f"{folder}, the folder of keys: {error.strerror}; make keys with `b2d keys create DIR`") from None
    if not stat.S_ISDIR(mode):
        raise RequestError(f"{folder} is no folder of keys; make one with `b2d keys create DIR`")
    if mode & _WRITTEN_BY_OTHERS:
        told = f"{folder}: others can put keys there (mode {stat.S_IMODE(mode):04o})"
        raise RequestError(f"{told}; look whether all that is there is yours, then `chmod go-w {folder}`")


def _write(path: Path, text: str, mode: int) -> None:
    """Whole or not at all: who looks meanwhile sees no half key."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(part, path)


def _text(name: str, public: str, secret: str = "") -> str:
    words = f"#   The secret key of {name}: for its owner alone" if secret else f"#   The public key of {name}"
    own = f'    secret-key = "{secret}"\n' if secret else ""
    return f'{words}\nmetadata\n    name = {name}\ncurve\n    public-key = "{public}"\n{own}'


def _require_curve() -> None:
    if not zmq.has("curve"):
        raise RequestError("this pyzmq has no CURVE; install one with libsodium (the wheels have it): pip install --force-reinstall pyzmq")
    if zmq.zmq_version_info() < LEAST_LIBZMQ:
        raise RequestError(f"libzmq {zmq.zmq_version()} has known holes; update it: pip install --upgrade pyzmq")
