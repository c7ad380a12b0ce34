"""The forward pass of BERT with mean pooling and a linear head, in plain Python from its definition.

Prints the logits that forward.rs expects. Weights follow a formula, so no file is needed: tensors sorted by
name, element i of tensor k is 0.3 sin(1.7 k + 0.37 i), plus 1 for the weights of layer norms.
"""

from math import erf, exp, sin, sqrt

WIDTH, LAYERS, HEADS, INNER, WORDS, POSITIONS, LABELS = 8, 2, 2, 16, 20, 12, 2
IDS = [2, 7, 11, 19, 3]


def shapes():
    linear = lambda name, inputs, outputs: {name + ".weight": (outputs, inputs), name + ".bias": (outputs,)}
    norm = lambda name: {name + ".weight": (WIDTH,), name + ".bias": (WIDTH,)}
    all = {
        "embeddings.word_embeddings.weight": (WORDS, WIDTH),
        "embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        **norm("embeddings.LayerNorm"),
        **linear("classifier", WIDTH, LABELS),
    }
    for n in range(LAYERS):
        layer = f"encoder.layer.{n}."
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            all |= linear(layer + "attention." + part, WIDTH, WIDTH)
        all |= norm(layer + "attention.output.LayerNorm") | norm(layer + "output.LayerNorm")
        all |= linear(layer + "intermediate.dense", WIDTH, INNER) | linear(layer + "output.dense", INNER, WIDTH)
    return all


def weights():
    found = {}
    for k, (name, shape) in enumerate(sorted(shapes().items())):
        one = 1.0 if name.endswith("LayerNorm.weight") else 0.0
        value = lambda i: one + 0.3 * sin(1.7 * k + 0.37 * i)
        columns = shape[-1]
        rows = [[value(r * columns + c) for c in range(columns)] for r in range(shape[0] if len(shape) == 2 else 1)]
        found[name] = rows if len(shape) == 2 else rows[0]
    return found


W = weights()
dot = lambda a, b: sum(x * y for x, y in zip(a, b))
add = lambda a, b: [x + y for x, y in zip(a, b)]


def linear(name, x):
    return [dot(row, x) + b for row, b in zip(W[name + ".weight"], W[name + ".bias"])]


def norm(name, x):
    mean = sum(x) / len(x)
    spread = sqrt(sum((v - mean) ** 2 for v in x) / len(x) + 1e-12)
    return [(v - mean) / spread * w + b for v, w, b in zip(x, W[name + ".weight"], W[name + ".bias"])]


def attention(name, rows):
    query, key, value = ([linear(f"{name}.self.{part}", x) for x in rows] for part in ("query", "key", "value"))
    size = WIDTH // HEADS
    mixed = [[] for _ in rows]
    for head in (slice(h * size, (h + 1) * size) for h in range(HEADS)):
        for at, q in enumerate(query):
            raised = [exp(dot(q[head], k[head]) / sqrt(size)) for k in key]
            shares = [r / sum(raised) for r in raised]
            mixed[at] += [sum(s * v[head][c] for s, v in zip(shares, value)) for c in range(size)]
    return [norm(name + ".output.LayerNorm", add(linear(name + ".output.dense", m), x)) for m, x in zip(mixed, rows)]


def layer(name, rows):
    rows = attention(name + ".attention", rows)
    inner = [[v * 0.5 * (1 + erf(v / sqrt(2))) for v in linear(name + ".intermediate.dense", x)] for x in rows]
    return [norm(name + ".output.LayerNorm", add(linear(name + ".output.dense", i), x)) for i, x in zip(inner, rows)]


def logits():
    table = lambda name, row: W[f"embeddings.{name}_embeddings.weight"][row]
    rows = [add(add(table("word", id), table("position", at)), table("token_type", 0)) for at, id in enumerate(IDS)]
    rows = [norm("embeddings.LayerNorm", x) for x in rows]
    for n in range(LAYERS):
        rows = layer(f"encoder.layer.{n}", rows)
    return linear("classifier", [sum(column) / len(rows) for column in zip(*rows)])


print(logits())
