"""Draw the pictures of docs/tutorial/see-inside.md: the cell, and what its examples give.

Transparent ground and middle tones, so that a picture reads in light and in dark mode.
"""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from gatewise import reference, trace

FOLDER = Path(__file__).parent / "see-inside"
DPI = 80
INK, ROAD, SQUASH, GATE = "#717a85", "#2a79dd", "#d97706", "#5b8c3a"


def cell() -> str:
    """Return the SVG of the cell: the road of the gradient, the two tanhs, the three gates."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 300" role="img" '
        'font-family="system-ui, sans-serif" font-size="14">',
        "<title>An LSTM cell. The cell state runs along the top, past both tanhs.</title>",
        f'<path d="M20,60 H690" stroke="{ROAD}" stroke-width="7" fill="none" opacity=".55"/>',
        f'<path d="M684,52 l14,8 -14,8 z" fill="{ROAD}"/>',
        _text(24, 40, "c(t−1)", INK), _text(664, 40, "c(t)", INK),
        _text(300, 24, "the short road of the gradient: only f is on it", ROAD),
    ]  # fmt: skip
    wires = [
        "M180,204 V76", "M280,204 V136 H353", "M456,204 V136 H383", "M368,121 V76",
        "M560,60 V104", "M560,136 V177", "M631,192 H576", "M560,208 V258 H686",
    ]  # fmt: skip
    parts += [f'<path d="{d}" stroke="{INK}" stroke-width="1.6" fill="none"/>' for d in wires]
    parts += [
        _circle(180, 60, "×"), _circle(368, 60, "+"),
        _circle(368, 136, "×"), _circle(560, 192, "×"),
        _box(180, 220, "f", "forget gate", GATE), _box(280, 220, "i", "input gate", GATE),
        _box(456, 220, "tanh", "candidate g", SQUASH), _box(560, 120, "tanh", "", SQUASH),
        _box(660, 192, "o", "output gate", GATE), _text(690, 263, "h(t)", INK),
        _text(20, 288, "x(t) and h(t−1) feed f, i, g and o", INK),
        _text(594, 112, "ψ: on the way", SQUASH), _text(594, 129, "out, not on it", SQUASH),
        _text(358, 280, "φ: bounds what a step writes", SQUASH),
    ]  # fmt: skip
    return "\n".join([*parts, "</svg>", ""])


def _text(x: float, y: float, text: str, colour: str) -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}">{text}</text>'


def _circle(x: float, y: float, sign: str) -> str:
    return (
        f'<circle cx="{x}" cy="{y}" r="15" fill="#fff" stroke="{INK}" stroke-width="1.6"/>'
        f'<text x="{x}" y="{y + 6}" text-anchor="middle" font-size="18" fill="#333">{sign}</text>'
    )


def _box(x: float, y: float, name: str, label: str, colour: str) -> str:
    box = (
        f'<rect x="{x - 29}" y="{y - 16}" width="58" height="32" rx="6" fill="{colour}"/>'
        f'<text x="{x}" y="{y + 5}" text-anchor="middle" fill="#fff">{name}</text>'
    )
    if not label:
        return box
    style = f'text-anchor="middle" fill="{INK}" font-size="12"'
    return f'{box}<text x="{x}" y="{y + 34}" {style}>{label}</text>'


def figures() -> dict[str, Figure]:
    """Return the pictures of what an LSTM of longer and shorter memories did."""
    torch.manual_seed(0)
    T, H = 100, 16
    lstm, x = torch.nn.LSTM(4, H, dtype=torch.float64), torch.randn(T, 1, 4, dtype=torch.float64)
    with torch.no_grad():
        lstm.bias_ih_l0[H : 2 * H] = torch.linspace(0, 4, H)
    recorded = trace.record(lstm, x)
    dy = np.zeros((T, 1, H))
    dy[-1] = 1.0
    rnn = torch.nn.RNN(4, H, dtype=torch.float64)
    weights = (p.detach().numpy() for p in (rnn.weight_ih_l0, rnn.weight_hh_l0))
    dh = reference.rnn_backward(reference.rnn_forward(x.numpy(), *weights), dy)[:, 0]
    later = trace.run_on(lstm, x, trace.Edit("cell_output", "identity", steps=slice(50, None)))
    return {
        "attention": trace.plot_attention(recorded),
        "gradient": trace.plot_gradient(trace.gradient_flow(lstm, x, dy), beside=dh),
        "without": trace.plot_intervention(recorded, later, labels=["without ψ from 50 on"]),
    }


def main() -> None:
    """Write all of them."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "cell.svg").write_text(cell())
    for name, figure in figures().items():
        figure.savefig(FOLDER / f"{name}.png", dpi=DPI)


if __name__ == "__main__":
    main()
