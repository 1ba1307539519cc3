"""The closed loop as a Gymnasium environment: the agent is the decoder, and learns one person by doing.

    python examples/gym_env.py [episodes]         (needs the extra: pip install 'volition[gym]')

The agent is as plain as can be: recursive least squares from the last bins of spike counts to what an ideal user would
command ("aim" in the info, which a clinic knows in calibration). While it learns, the aim itself is acted, as in the
observation block of a calibration; then it is on its own.
"""

import sys

import gymnasium
import numpy as np

BINS = 10  # of history: 200 ms


class LeastSquares:
    """y = W x, with W refined in each bin (recursive least squares)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        self.weights = np.zeros((outputs, inputs))
        self._p = np.eye(inputs) * 10.0

    def learn(self, x: np.ndarray, y: np.ndarray) -> None:
        """One pair."""
        gain = self._p @ x / (1 + x @ self._p @ x)
        self.weights += np.outer(y - self.weights @ x, gain)
        self._p -= np.outer(gain, self._p @ x)

    def act(self, x: np.ndarray) -> np.ndarray:
        """What it believes is wanted, within the space of actions."""
        return np.clip(self.weights @ x, -1, 1)


def episode(env: gymnasium.Env, agent: LeastSquares, person: int | None, learns: bool) -> float:
    """The return of one episode; without a number the same person goes on."""
    obs, info = env.reset(seed=person)
    n = len(obs["features"])
    history, total, ended = np.zeros((BINS, n)), 0.0, False
    while not ended:
        history = np.roll(history, 1, axis=0)
        history[0] = obs["features"]
        x = np.append(history.mean(axis=0), 1.0)
        if learns:
            agent.learn(x, info["aim"])
        obs, reward, _, ended, info = env.step(info["aim"] if learns else agent.act(x))
        total += float(reward)
    return total


def main(episodes: int = 4) -> None:
    env = gymnasium.make("volition.io.gym:volition/Reach-v0", channel="utah96", seconds=20.0)
    agent = LeastSquares(env.observation_space["features"].shape[0] + 1, env.action_space.shape[0])
    print(f"before it learnt: return {episode(env, agent, 1, learns=False):6.1f}")
    for k in range(episodes):
        print(f"shown, block {k + 1}:    return {episode(env, agent, None, learns=True):6.1f}")
    print(f"on its own:       return {episode(env, agent, None, learns=False):6.1f}")
    env.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
