"""The stand-in: a server that speaks CARLA's RPC over the embedded world. It is a process of its own, `python -m worker.standin`."""
