"""The one generator from which everything is drawn."""

import random


class RandomManager:
    def __init__(self) -> None:
        self.random = random.Random()

    def seed(self, seed: int) -> None:
        self.random.seed(seed)

    def get_random(self) -> random.Random:
        return self.random


seeded_random_manager = RandomManager()
