"""Which layouts are wanted."""


class TensorConfig:
    def __init__(self, device: str = "cpu", **conditions: bool) -> None:
        self.conditions = conditions
        self.probability = 0.5

    def set_probability(self, probability: float) -> "TensorConfig":
        self.probability = probability
        return self
