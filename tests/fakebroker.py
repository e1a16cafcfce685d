"""A broker played by a test: a ROUTER in a thread that answers each message as a function says."""

import contextlib
import threading

import zmq


class FakeBroker:
    """``answer(frames)`` gets a message without its envelope and gives a list of messages to send back."""

    def __init__(self, answer):
        self._answer, self._context, self._stop = answer, zmq.Context(), threading.Event()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self.endpoint = f"tcp://127.0.0.1:{self._socket.bind_to_random_port('tcp://127.0.0.1')}"
        self.heard = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        with self._socket:
            while not self._stop.is_set():
                if self._socket.poll(20):
                    sender, *frames = self._socket.recv_multipart()
                    self.heard.append(frames)
                    for message in self._answer(frames):
                        self._socket.send_multipart([sender, *message])

    def close(self):
        self._stop.set()
        self._thread.join()
        self._context.term()


@contextlib.contextmanager
def playing(answer):
    broker = FakeBroker(answer)
    try:
        yield broker
    finally:
        broker.close()
