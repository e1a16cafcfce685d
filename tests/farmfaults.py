"""What goes wrong in a simulated farm (farmsim.py), how often, and how often it really did.

Messages get lost, arrive twice (the second time perhaps much later) or are overtaken; peers stand still; hosts, keepers and clients die;
connections break; simulators hang or fail; workers are told to leave; the broker stands still, or dies and comes back empty. Only what
hits something is counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

MOMENTS = (0.0, 0.5, 3.0, 8.0)  # seconds that things take that should take none; some longer than a lease lives, or a heartbeat may lack


@dataclass(frozen=True)
class Faults:
    """How hostile a history is: probabilities, per message or per event."""

    drop: float = 0.0  # per message
    duplicate: float = 0.0
    kill: float = 0.02  # per event: hosts, keepers, clients; broken connections of idle hosts, silent clients
    stall: float = 0.02
    restart: float = 0.004  # of the broker
    reorder: float = 0.0  # per message
    cut: float = 0.0  # per event: a trainer's connection
    hang: float = 0.0  # of a simulator
    fail: float = 0.0  # of a simulator: it raises something that nobody foresaw
    still: float = 0.0  # the broker stands still
    drain: float = 0.0  # a worker is told to leave
    salted: float = 0.0  # per worker: its simulator does not repeat what others did

    @property
    def messages(self):
        return self.drop + self.duplicate + self.reorder


CALM = Faults(0.0, 0.0, 0.0, 0.0, 0.0)


class Trouble:
    """Decides what goes wrong in a world, and counts it in ``done``."""

    def __init__(self, world, faults):
        self.world, self.faults, self.done = world, faults, Counter()
        self.lossy = faults.drop > 0  # it may be that somebody waits in vain
        self.salted = faults.salted > 0  # not all simulators repeat what others did
        self.ordered = not faults.duplicate and not faults.reorder  # what one peer sends to another arrives in order, as on TCP
        self._weigh()

    def _weigh(self):
        faults = self.faults
        choices = ((faults.kill, self.kill), (faults.stall, self.stall), (faults.restart, self.restart_broker))
        choices += ((faults.cut, self.cut_trainer), (faults.hang, self.hang), (faults.fail, self.fail))
        self._choices = [*choices, (faults.still, self.hold_broker), (faults.drain, self.drain)]
        self._any = sum(chance for chance, _ in self._choices)

    def end(self):
        """From now on nothing goes wrong."""
        self.faults = CALM
        self._weigh()
        for host in self.world.hosts():
            host.hangs = host.fails = False

    def perhaps(self):
        """Perhaps something goes wrong now."""
        dice = self.world.rng.random()
        if dice < self._any:
            for chance, fault in self._choices:
                dice -= chance
                if dice < 0.0:
                    fault()
                    return

    def arrives(self, link, message):
        """Whether a message arrives now; it may also arrive later, or once more."""
        faults, rng = self.faults, self.world.rng
        if not faults.messages:
            return True
        dice = rng.random()
        if dice >= faults.messages:
            return True
        if dice < faults.drop:
            self.done["drop"] += 1
            self.world.monitor.at_host.pop(link[0] or link[1], None)
            trainer = self.world.trainers.get(link[0] or link[1])
            if trainer and not message.header.lease:  # no budget watches over it: it is lost with its connection only, as all is on TCP
                trainer.disconnect(self.world.now)
            return False
        again = dice < faults.drop + faults.duplicate
        self.done["duplicate" if again else "reorder"] += 1
        self.world.late.append((self.world.now + rng.choice(MOMENTS), link, message))
        return again

    def kill(self):
        which = [self.kill_host, self.kill_keeper, self.kill_client, self.silence_client, self.cut_host]
        self.world.rng.choice([self.kill_host, self.kill_keeper, self.kill_trainer, self.cut_host] if self.world.trainers else which)()

    def stall(self):
        """A peer stands still; of a worker perhaps all of it."""
        world, rng = self.world, self.world.rng
        if world.peers:
            name, seconds = rng.choice(sorted(world.peers)), rng.choice(MOMENTS[1:])
            world.until[name] = world.now + seconds
            keeper = world.keepers.get(name)
            if keeper and rng.random() < 0.5:
                world.until[keeper.host.identity] = world.now + seconds
            self.done["stall"] += 1

    def kill_host(self):
        if self.world.keepers:
            self.world.rng.choice(list(self.world.keepers.values())).lose_host()
            self.done["kill host"] += 1

    def hang(self):
        """The next job of a host never ends; its keeper ends the host for it."""
        hosts = self.world.hosts()
        if hosts:
            self.world.rng.choice(hosts).hangs = True
            self.done["hang"] += 1

    def fail(self):
        """The next job of a host goes wrong half-way."""
        hosts = self.world.hosts()
        if hosts:
            self.world.rng.choice(hosts).fails = True
            self.done["fail"] += 1

    def drain(self):
        self.world.rng.choice(list(self.world.keepers.values())).drain()
        self.done["drain"] += 1

    def hold_broker(self):
        """The broker stands still: nothing is read, nothing is told, and everybody seems silent when it goes on."""
        world = self.world
        world.still, world.still_until = world.now, world.now + world.rng.choice(MOMENTS[1:])
        self.done["hold broker"] += 1

    def cut_host(self):
        """An idle host loses its connection for a while; nobody tells the broker."""
        world = self.world
        idle = [host for host in world.hosts() if host.identity not in world.monitor.at_host and host.identity in world.peers]
        if idle:
            host = world.rng.choice(idle)
            del world.peers[host.identity]
            world.purge((b"", host.identity))
            world.cut.append((world.now + world.rng.choice([0.5, 5.0]), host))
            self.done["cut host"] += 1

    def kill_keeper(self):
        world = self.world
        if world.keepers:
            keeper = world.rng.choice(list(world.keepers.values()))
            keeper.die(goodbye=world.rng.random() < 0.3)
            world.add_keeper(keeper.profile)
            self.done["kill keeper"] += 1

    def kill_client(self):
        world = self.world
        if world.clients:
            world.leave(world.rng.choice(list(world.clients.values())))
            world.add_client()
            self.done["kill client"] += 1

    def silence_client(self):
        if self.world.clients:
            client = self.world.rng.choice(list(self.world.clients.values()))
            client.silent = not client.silent
            self.done["silence client"] += 1

    def kill_trainer(self):
        world = self.world
        if world.trainers:
            trainer = world.rng.choice(list(world.trainers.values()))
            trainer.kill()
            world.leave(trainer)
            world.add_trainer(trainer.program)
            self.done["kill client"] += 1

    def cut_trainer(self):
        world = self.world
        if world.trainers:
            world.rng.choice(list(world.trainers.values())).disconnect(world.now + world.rng.choice(MOMENTS))
            self.done["cut client"] += 1

    def restart_broker(self):
        """The broker dies; another one comes at once or after a while, and knows nothing."""
        self.world.lose_broker(self.world.rng.choice(MOMENTS[:3]))
        self.done["restart broker"] += 1
