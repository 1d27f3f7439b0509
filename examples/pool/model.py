#!/usr/bin/env python3
"""A worker that takes long to start: it loads a model once, and then answers a line for each line.

tcppool -v -RHl0 --workers=2:8 --ready=ready --busy-timeout=5 --recycle=10000 127.0.0.1 8020 ./model.py
"""

import sys
import time


def load():
    """Stands for what takes a second: here, words and their lengths."""
    time.sleep(1)
    return {"one": 1, "two": 2, "three": 3}


model = load()
print("ready", flush=True)
for line in sys.stdin:
    words = line.split()
    print(sum(model.get(word, 0) for word in words), flush=True)
