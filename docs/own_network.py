"""Condense the digits in a network of your own, and measure the set with it: a small residual network.

python docs/own_network.py
"""

import torch
from torch import Tensor, nn

import condensery as cd


class Residual(nn.Module):
    """A convolution, a residual block with batch norm, and a linear classifier on the mean over the image."""

    def __init__(self, shape: tuple[int, int, int], classes: int, width: int = 32) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(shape[0], width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width))
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.relu(x + self.block(x))
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


def main(steps: int = 100, repeats: int = 3) -> None:
    """Compare learned with random images, one per class."""
    data = cd.digits()
    recipe = cd.DM(ipc=1, steps=steps, real_rows=64, net=Residual)
    learned: cd.Condensed = cd.condense(recipe, data.train)
    chosen = cd.condense(cd.Random(ipc=1), data.train)
    for name, condensed in {"random": chosen, "dm": learned}.items():
        accuracy: cd.Accuracy = cd.evaluate(condensed, data, net=Residual, repeats=repeats)
        print(f"{name:<8} {accuracy}")


if __name__ == "__main__":
    main()
