"""Train a small network on the handwritten digits that scikit-learn ships; a checkpoint every 25 steps.

    trainpoint run --retries 3 -- python examples/digits.py

Kill it as often as you like: it goes on from its last checkpoint and ends with the same weights, bit for bit. For that,
a checkpoint holds all that the next step depends on: weights, momentum and the state of the random generator.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

from trainpoint import Checkpoint

Array = npt.NDArray[np.float64]
Arrays = dict[str, Array]

HIDDEN, BATCH, RATE, MOMENTUM = 48, 32, 0.05, 0.9


def forward(model: Arrays, x: Array) -> tuple[Array, Array]:
    """Hidden activations, and the probability of each digit."""
    hidden = np.tanh(x @ model["w1"] + model["b1"])
    scores = hidden @ model["w2"] + model["b2"]
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    return hidden, odds / odds.sum(axis=1, keepdims=True)


def train_one(model: Arrays, speed: Arrays, x: Array, y: npt.NDArray[np.int64]) -> float:
    """One step of gradient descent with momentum; returns the loss before it."""
    hidden, probability = forward(model, x)
    loss = float(-np.log(probability[np.arange(len(y)), y]).mean())
    error = (probability - np.eye(10)[y]) / len(y)
    inner = (error @ model["w2"].T) * (1 - hidden**2)
    slopes = {"w1": x.T @ inner, "b1": inner.sum(axis=0), "w2": hidden.T @ error, "b2": error.sum(axis=0)}
    for name, slope in slopes.items():
        speed[name] = MOMENTUM * speed[name] - RATE * slope
        model[name] = model[name] + speed[name]
    return loss


def save_state(folder: Path, model: Arrays, speed: Arrays, random: np.random.Generator) -> None:
    np.savez(folder / "model.npz", **model)  # type: ignore[arg-type]  # numpy's stub takes the names for flags
    np.savez(folder / "speed.npz", **speed)  # type: ignore[arg-type]
    (folder / "random.json").write_text(json.dumps(random.bit_generator.state))


def load_state(folder: Path, random: np.random.Generator) -> tuple[Arrays, Arrays]:
    random.bit_generator.state = json.loads((folder / "random.json").read_text())
    return dict(np.load(folder / "model.npz")), dict(np.load(folder / "speed.npz"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small network on handwritten digits.")
    parser.add_argument("--steps", type=int, default=600, help="training steps in all")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds to wait after each step")
    options = parser.parse_args()

    images, labels = load_digits(return_X_y=True)
    x, y = images / 16.0, labels
    random = np.random.default_rng(seed=7)
    model = {
        "w1": random.normal(0, 0.2, (64, HIDDEN)),
        "b1": np.zeros(HIDDEN),
        "w2": random.normal(0, 0.2, (HIDDEN, 10)),
        "b2": np.zeros(10),
    }
    speed = {name: np.zeros_like(value) for name, value in model.items()}

    with Checkpoint(every_steps=25) as ckpt:
        if ckpt.is_loaded:
            model, speed = load_state(ckpt.path, random)
        print(f"process {os.getpid()} begins at step {ckpt.step} of {options.steps}", flush=True)
        for step in range(ckpt.step, options.steps):
            chosen = random.integers(0, 1400, BATCH)  # the last 397 images are for the test
            loss = train_one(model, speed, x[chosen], y[chosen])
            time.sleep(options.pause)
            if ckpt.should_save(step + 1):
                with ckpt.stage(step=step + 1, metrics={"loss": loss}) as folder:
                    save_state(folder, model, speed, random)
                print(f"step {step + 1} of {options.steps}, loss {loss:.4f}", flush=True)
            if ckpt.should_stop:
                break

    accuracy = float((forward(model, x[1400:])[1].argmax(axis=1) == y[1400:]).mean())
    digest = hashlib.sha256(b"".join(model[name].tobytes() for name in sorted(model))).hexdigest()
    print(f"accuracy {accuracy:.4f}, weights {digest}", flush=True)


if __name__ == "__main__":
    main()
