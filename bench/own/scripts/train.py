"""A plain PyTorch script: train a small network on made-up digits, print the loss and its own CPU seconds."""

import argparse
import resource

import torch

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=1000)
options = parser.parse_args()

torch.manual_seed(0)
torch.set_num_threads(1)
images, labels = torch.rand(4096, 784), torch.randint(0, 10, (4096,))
model = torch.nn.Sequential(
    torch.nn.Linear(784, 512),
    torch.nn.ReLU(),
    torch.nn.Linear(512, 512),
    torch.nn.ReLU(),
    torch.nn.Linear(512, 10),
)
optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(options.steps):
    batch = torch.randint(0, 4096, (128,))
    loss = torch.nn.functional.cross_entropy(model(images[batch]), labels[batch])
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if step % 200 == 0:
        print(f"step {step} loss {loss.item():.4f}")
used = resource.getrusage(resource.RUSAGE_SELF)
print(f"cpu {used.ru_utime + used.ru_stime:.3f}")
