"""A short training run of a tiny BERT in PyTorch with transformers' own model. Prints what learning_curve.rs expects.

    pip install torch==2.11.0 transformers==5.23.0
    python make.py > expected.json

Weights and lines follow formulas, so that both sides have the same without a file. Weights: tensors sorted by name,
element i of tensor k is 0.1 sin(1.7 k + 0.37 i), plus 1 for the weights of layer norms.
"""

import json
import math

import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import BertConfig, BertModel

STEPS, BATCH, LINES, LABELS = 40, 6, 24, 2
RATE, HEAD_RATE, LAYER_DECAY, WEIGHT_DECAY, WARMUP, CLIP = 2e-3, 5e-3, 0.8, 0.1, 0.1, 1.0

torch.set_num_threads(1)
config = BertConfig(
    vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
    max_position_embeddings=12, hidden_act="gelu", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)


class Classifier(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bert = BertModel(config, add_pooling_layer=False)
        self.classifier = torch.nn.Linear(config.hidden_size, LABELS)

    def forward(self, ids, mask):
        hidden = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        real = mask.unsqueeze(-1).float()
        return self.classifier((hidden * real).sum(1) / real.sum(1))


model = Classifier()
named = {name.removeprefix("bert."): tensor for name, tensor in model.named_parameters()}
for k, (name, tensor) in enumerate(sorted(named.items())):
    one = 1.0 if name.endswith("LayerNorm.weight") else 0.0
    values = [one + 0.1 * math.sin(1.7 * k + 0.37 * i) for i in range(tensor.numel())]
    tensor.data = torch.tensor(values, dtype=torch.float64).view(tensor.shape).float()


def line(n):
    """Token ids, and an answer a label: 1, 0, or None where nothing is said."""
    ids = [2] + [4 + (n * 7 + i * i * 3) % 16 for i in range(1 + n % 9)] + [3]
    return ids, [int(6 in ids or 9 in ids), None if n % 3 == 0 else n % 2]


def batch(step):
    lines = [line((step * 5 + i * 7) % LINES) for i in range(BATCH)]
    longest = max(len(ids) for ids, _ in lines)
    ids = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in lines])
    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in lines])
    answers = torch.tensor([[float(a or 0) for a in answers] for _, answers in lines])
    weights = torch.tensor([[0.0 if a is None else 1.0 for a in answers] for _, answers in lines])
    return ids, mask, answers, weights


def peak(name):
    if name.startswith("classifier."):
        return HEAD_RATE
    layer = int(name.split(".")[2]) if name.startswith("encoder.") else -1
    return RATE * LAYER_DECAY ** (config.num_hidden_layers - 1 - layer)


def decay(name):
    return WEIGHT_DECAY if name.endswith(".weight") and not name.endswith("LayerNorm.weight") else 0.0


def course(step):
    rise = math.ceil(WARMUP * STEPS)
    return (step + 1) / rise if step < rise else (STEPS - step) / (STEPS - rise)


groups = [{"params": [t], "lr": peak(n), "weight_decay": decay(n)} for n, t in sorted(named.items())]
optimizer = torch.optim.AdamW(groups)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, course)
first = model(*batch(0)[:2]).tolist()
losses = []
for step in range(STEPS):
    ids, mask, answers, weights = batch(step)
    loss = binary_cross_entropy_with_logits(model(ids, mask), answers, weights, reduction="sum") / weights.sum()
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    optimizer.step()
    schedule.step()
    losses.append(loss.item())
print(json.dumps({"first_logits": first, "losses": losses, "last_logits": model(*batch(0)[:2]).tolist()}, indent=1))
