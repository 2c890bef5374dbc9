"""An existing PyTorch model, its LSTM made native in place: same weights, same results."""

import torch

import gatewise.nn


class Tagger(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(100, 32)
        self.lstm = torch.nn.LSTM(32, 64, num_layers=2, bidirectional=True, batch_first=True)
        self.head = torch.nn.Linear(128, 5)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(self.embedding(words))[0])


torch.manual_seed(0)
model = Tagger()
words = torch.randint(100, (8, 20))
before = model(words)

gatewise.nn.accelerate(model)
after = model(words)
print("largest difference:", (before - after).abs().max().item())

optimizer = torch.optim.Adam(model.parameters())
tags = torch.randint(5, (8, 20))
for _ in range(20):
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(model(words).flatten(0, 1), tags.flatten())
    loss.backward()
    optimizer.step()
print("loss after 20 steps:", round(loss.item(), 3))
