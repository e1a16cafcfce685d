"""What trainers do in a simulated farm (farmtrainers.py), and what they must see.

The world is a hash chain (farmtoy.py), so a trainer knows each state before it is told: whatever happens to workers, broker and
connections, each observation, reward, digest and counter must be that of the undisturbed episode. Where simulators do not repeat
themselves an episode that was lived again may be another, but then it says so.
"""

from __future__ import annotations

import farmtoy
import numpy as np
from farmtrainers import WatchedClient
from farmwatch import require

from b2d_zmq import CarlaEnv, CarlaVectorEnv
from b2d_zmq.errors import B2DError, NoFreeWorker, Poisoned, RequestError, SnapshotError, WorkerLost
from b2d_zmq.resume import ATTEMPTS, KILLS

BUDGETS = {"reset": 6.0, "restore": 6.0, "snapshot": 4.0, "step": 3.0, "rollout": 3.0, "rollout_step": 0.5}
REFUSALS = False  # until sessions stand a reset that is refused by the worker after the one that was lost

COMMON = {"wait": 60.0, "budgets": BUDGETS, "on_loss": "resume"}


class GroupLost(Exception):
    """All branches of a group were lost, and no worker to go on with."""


class Track:
    """One episode: where it must be, how many steps it has had, and the sum of their rewards."""

    def __init__(self, trainer):
        self.name, self.world = trainer.name, trainer.world
        self.place, self.steps, self.total = None, 0, 0.0
        self.owed = False  # it is another episode than it was, and has not said so yet
        self.worker, self.moved = None, False  # where it was seen last; it is elsewhere now and has not said so yet

    def salt(self, worker):
        return self.world.salts[worker.split("/")[0]]

    def begin(self, place, steps, total):
        self.place, self.steps, self.total = place, steps, total
        self.owed, self.worker, self.moved = False, None, False

    def go(self, action):
        self.place = farmtoy.step(self.place, action)
        self.steps += 1

    def reward(self, info):
        """The reward of the step that brought it here; only now is it known which episode it is."""
        self.resume(info)
        self.total += self.place.reward
        return self.place.reward

    def resume(self, info):
        """Where it was lived again it may be another now, if it says so; ``info["resumed"]`` is looked at once."""
        told = info.get("resumed")
        if told:
            self.world.monitor.resumed[told["verdict"]] += 1
            require(told["lost"] and told["steps"] >= 0, f"{self.name} was told {told}")
            if told["verdict"] == "diverged":
                require(any(self.world.salts.values()), f"{self.name} diverged, although all simulators repeat themselves: {told}")
                self.owed = False
                self.place = self.place._replace(link=bytes.fromhex(info["digest"]))
        require(told or not self.moved, f"{self.name} went to {self.worker} and was not told")
        self.moved = not told and self.worker not in (None, info["worker"])  # after the answer, for a snapshot: the next answer says so
        require(not self.owed, f"{self.name} is another episode and does not say so")

    def compare(self, info, link):
        """All that was told of the present state must be right."""
        place = self.place
        told = (info["digest"], info["tick"], info["episode_steps"], info["episode_reward"], link.tobytes())
        wanted = (place.digest, place.tick, self.steps, self.total, place.link)
        require(told == wanted, f"{self.name} was told {told}, should have been {wanted}")
        self.worker = info["worker"]
        self.world.monitor.seen += 1

    def match(self, snapshot):
        """A snapshot must be of the present state."""
        if snapshot.digest != self.place.digest and any(self.world.salts.values()):
            self.owed, self.place = True, self.place._replace(link=bytes.fromhex(snapshot.digest))
        require((snapshot.digest, snapshot.tick) == (self.place.digest, self.place.tick), f"a snapshot of {self.place} is {snapshot}")


def action(rng):
    return np.array([rng.random(), rng.random(), rng.random()], np.float32)


class Driver:
    """One environment that steps, snapshots, restores, forks and is refused."""

    def __init__(self, trainer):
        self.trainer, self.monitor, self.rng = trainer, trainer.world.monitor, trainer.world.rng
        self.client = WatchedClient(trainer)
        self.env = CarlaEnv(client=self.client, **COMMON)
        self.track = Track(trainer)
        self.kept = []  # (snapshot, place, steps, total)
        self.branches = not trainer.world.trouble.salted  # where no simulator repeats another there is nothing to compare

    def episode(self):
        """One episode, to its end."""
        rng, limit = self.rng, self.rng.randint(3, 30)
        seed = rng.randrange(2**31)
        seen, info = self.env.reset(seed=seed, options={"max_steps": limit})
        self.track.begin(farmtoy.begin(seed, limit, self.track.salt(info["worker"])), 0, 0.0)
        self.kept.clear()
        self.compare(seen, info)
        while not self.track.place.truncated:
            dice = rng.random()
            if dice < 0.8:
                self.step()
            elif dice < 0.88:
                self.keep()
            elif dice < 0.92 and self.kept:
                self.restore()
            elif dice < 0.95 and self.branches:
                self.fork()
            elif dice < 0.97 and REFUSALS:
                self.refused()
            else:
                self.trainer.think(rng.choice((0.1, 2.0, 9.0)))
        self.trainer.holds(1)
        if rng.random() < 0.05:
            self.deadly()

    def close(self):
        self.env.close()
        self.client.close()

    def deadly(self):
        """A job that no host outlives is given up before it ends them all: after three, if each of these deaths could be heard of."""
        trainer, world = self.trainer, self.trainer.world
        before, line = self.monitor.deadly[trainer.name], (trainer.connections, world.boots)
        try:
            self.env.reset(options={"deadly": 1})
        except Poisoned:
            died = self.monitor.deadly[trainer.name] - before
            heard = line == (trainer.connections, world.boots) and not world.trouble.lossy and world.trouble.ordered
            require(died <= (KILLS if heard else ATTEMPTS), f"a deadly job of {trainer.name} ended {died} hosts")
            return
        require(False, "a job that no host outlives was answered")

    def step(self):
        chosen = action(self.rng)
        seen, reward, terminated, truncated, info = self.env.step(chosen)
        self.track.go(chosen)
        told, wanted = (reward, terminated, truncated), (self.track.reward(info), False, self.track.place.truncated)
        require(told == wanted, f"{self.trainer.name} was told {told}, should have been {wanted}")
        self.track.compare(info, seen["link"])

    def keep(self):
        snapshot = self.env.snapshot()
        self.track.match(snapshot)
        self.kept.append((snapshot, self.track.place, self.track.steps, self.track.total))

    def restore(self):
        snapshot, place, steps, total = self.rng.choice(self.kept)
        seen, info = self.env.restore(snapshot)
        self.track.begin(farmtoy.restored(place.data(), self.track.salt(info["worker"])), steps, total)
        self.compare(seen, info)

    def compare(self, seen, info):
        """After a beginning: nothing was lived again but the beginning, so nothing can be another."""
        if "resumed" in info:
            self.monitor.resumed[info["resumed"]["verdict"]] += 1
        self.track.compare(info, seen["link"])

    def refused(self):
        """A request that is wrong changes nothing."""
        try:
            if self.kept and self.rng.random() < 0.5:
                self.env.restore(self.env.snapshot().__class__(*self.broken()))
            else:
                self.env.reset(options={"bad": 1})
        except (RequestError, SnapshotError):
            return
        require(False, "a request that is wrong was not refused")

    def broken(self):
        snapshot = self.kept[-1][0]
        return [getattr(snapshot, name) for name in snapshot.__dataclass_fields__ if name != "data"] + [b"broken"]

    def fork(self):
        """Branches of the present state, stepped, rolled out, and one of them selected or none."""
        n = self.rng.randint(2, 3)
        try:
            group = self.env.fork(n, workers=self.rng.randint(1, n), wait=5.0, spares=self.rng.choice((0, 0, 1)))
            self.branch(group, [self.track.place] * n)
        except NoFreeWorker:
            return
        except WorkerLost as error:
            raise GroupLost(str(error)) from error
        if self.env.last_observation is None:
            raise GroupLost("no worker was left to go on with the episode after its group")
        self.track.worker, self.track.moved = None, False  # any of the group's

    def branch(self, group, places):
        track = self.track
        with group:
            self.steps_of(group, places)
            if self.rng.random() < 0.5:
                self.rollout_of(group, places)
            if self.rng.random() < 0.7:
                best = int(np.nanargmax(group.returns))
                steps, total = places[best].tick - track.place.tick, group.returns[best]
                group.select(best)
                track.begin(places[best], track.steps + steps, track.total + total)

    def steps_of(self, group, places):
        actions = np.stack([action(self.rng) for _ in places])
        result = group.step(actions)
        for i, place in enumerate(places):
            places[i] = place if place.truncated else farmtoy.step(place, actions[i])
        self.compare_group(result, places)

    def rollout_of(self, group, places):
        actions = np.stack([[action(self.rng) for _ in range(3)] for _ in places])
        result = group.rollout(actions)
        for i in range(len(places)):
            for chosen in actions[i]:
                places[i] = places[i] if places[i].truncated else farmtoy.step(places[i], chosen)
        self.compare_group(result, places)

    def compare_group(self, result, places):
        require(len(result.valid) == len(places), f"{len(result.valid)} of {len(places)} branches came back")
        for i, place in enumerate(places):
            if result.valid[i]:
                told, wanted = (result.digests[i], result.observations["link"][i].tobytes()), (place.digest, place.link)
                require(told == wanted, f"branch {i} is at {told}, not at {wanted}")
                self.monitor.seen += 1
            else:
                require(np.isnan(result.returns[i]), f"branch {i} was lost and has the return {result.returns[i]}")
                self.monitor.branches_lost += 1


class Team:
    """A vector environment: two episodes in step."""

    def __init__(self, trainer):
        self.trainer, self.monitor, self.rng = trainer, trainer.world.monitor, trainer.world.rng
        self.client = WatchedClient(trainer)
        self.env = CarlaVectorEnv(num_envs=2, client=self.client, **COMMON)
        self.tracks = [Track(trainer) for _ in range(2)]

    def episode(self):
        rng = self.rng
        seeds, limits = [rng.randrange(2**31) for _ in self.tracks], [rng.randint(3, 30) for _ in self.tracks]
        seen, infos = self.env.reset(seed=seeds, options={"per_env": [{"max_steps": limit} for limit in limits]})
        for i, track in enumerate(self.tracks):
            track.begin(farmtoy.begin(seeds[i], limits[i], track.salt(infos["worker"][i])), 0, 0.0)
            track.compare(self.info(infos, i), seen["link"][i])
        while not all(track.place.truncated for track in self.tracks):
            dice = rng.random()
            if dice < 0.9:
                self.step()
            elif dice < 0.95:
                self.env.save_snapshots()
            else:
                self.trainer.think(rng.choice((0.1, 2.0, 9.0)))
        self.trainer.holds(2)

    def close(self):
        self.env.close()
        self.client.close()

    def step(self):
        actions = np.stack([action(self.rng) for _ in self.tracks])
        seen, rewards, _, truncated, infos = self.env.step(actions)
        for i, track in enumerate(self.tracks):
            wanted = 0.0
            if not track.place.truncated:
                track.go(actions[i])
                wanted = track.reward(self.info(infos, i))
            told, wanted = (rewards[i], truncated[i]), (wanted, track.place.truncated)
            require(told == wanted, f"{track.name} was told {told} of {i}, should have been {wanted}")
            track.compare(self.info(infos, i), seen["link"][i])

    def info(self, infos, i):
        one = {name: infos[name][i] for name in ("digest", "tick", "episode_steps", "episode_reward", "worker")}
        if "resumed" in infos and infos["_resumed"][i]:
            one["resumed"] = {name: infos["resumed"][name][i] for name in ("verdict", "lost", "steps")}
        return one


def excused(error):
    """An episode may be given up, while things go wrong, if there are no workers, or too many went of one job."""
    return isinstance(error, (NoFreeWorker, Poisoned, GroupLost)) or isinstance(error.__cause__, NoFreeWorker)


def program(kind):
    """What a trainer of this kind runs: episodes until the history is over."""

    def run(trainer):
        world, player = trainer.world, None
        while not (world.tail and player):
            calm = world.tail
            try:
                player = player or kind(trainer)
                player.episode()
                world.monitor.episodes += 1
            except (B2DError, GroupLost) as error:
                if calm or not excused(error):
                    raise AssertionError(f"{trainer.name} got {error!r}") from error
                world.monitor.given_up[type(error).__name__] += 1
        player.close()

    return run


drive, team = program(Driver), program(Team)
