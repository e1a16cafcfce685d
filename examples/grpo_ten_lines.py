"""A farm on this machine, a drive, four branches of it, the best one taken: ten lines. Needs only ``pip install b2d-zmq``."""

from b2d_zmq import CarlaEnv, LocalFarm, RouteFollower

with LocalFarm(workers=4, sensors="state") as farm, CarlaEnv(farm.endpoint) as env:
    driver = RouteFollower()
    observation, info = env.reset(seed=0, options={"weather": "HardRainNoon"})
    for _ in range(60):
        observation, reward, terminated, truncated, info = env.step(driver.act(observation, info))
    group = env.fork(4)
    out = group.rollout([[[0.6, 0.0, steer]] * 20 for steer in (-0.2, 0.0, 0.1, 0.2)])
    print("identical at the start:", group.identical, "returns:", out.returns, "advantages:", group.advantages())
    group.select(int(out.returns.argmax()))
