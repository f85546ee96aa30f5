"""Fits a polynomial to a noisy sine by gradient descent; hydra gives the configuration."""

import hydra
import torch
from omegaconf import DictConfig


@hydra.main(config_path="conf", config_name="config", version_base="1.3")
def main(config: DictConfig) -> None:
    torch.manual_seed(config.seed)
    x = torch.linspace(-1, 1, config.data.points)
    y = torch.sin(3 * x) + 0.1 * torch.randn(config.data.points)
    powers = torch.stack([x**power for power in range(config.degree + 1)], dim=1)
    weights = torch.zeros(config.degree + 1)
    velocity = torch.zeros_like(weights)
    for _ in range(config.steps):
        velocity = config.momentum * velocity - config.lr * powers.T @ (powers @ weights - y) / len(x)
        weights += velocity
    loss = ((powers @ weights - y) ** 2).mean().item()
    print(f"degree {config.degree} loss {loss:.5f}")


if __name__ == "__main__":
    main()
