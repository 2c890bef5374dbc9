"""Draw the pictures of docs/engine.md as SVG; a test holds the committed ones to this script.

White ground and dark ink are part of each drawing, so that it reads in light and dark mode.
"""

from pathlib import Path
from xml.sax.saxutils import escape

FOLDER = Path(__file__).parent / "engine"
INK, SOFT, LINE, GROUND = "#1f2933", "#5b6773", "#9aa5b1", "#ffffff"
GATES = {"i": "#bcd9f5", "f": "#bfe6c8", "g": "#fbdcae", "o": "#e0c8f0"}
GREY, BLUE, RED, GREEN = "#e9edf1", "#d5e4f7", "#f8d3cf", "#d3edd9"
WIDTH = 880
ROWS, LANES, VECTORS = 6, 16, 4


class Drawing:
    """Boxes, words and arrows on a white card."""

    def __init__(self, height: int, title: str) -> None:
        self.height, self.title, self.parts = height, title, list[str]()

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str = GREY,
        words: str = "",
        *,
        size: int = 14,
        dashed: bool = False,
    ) -> None:
        """Draw a rectangle with words in its middle."""
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="3" '
            f'fill="{fill}" stroke="{LINE}"{dashes}/>'
        )
        lines = words.split("\n") if words else []
        for k, line in enumerate(lines):
            middle = y + height / 2 + size * 0.35 + (k - (len(lines) - 1) / 2) * size * 1.3
            self.say(x + width / 2, middle, line, size=size, anchor="middle")

    def say(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: int = 14,
        anchor: str = "start",
        ink: str = INK,
        bold: bool = False,
    ) -> None:
        """Write lines of text; y is the first one's base."""
        weight = ' font-weight="600"' if bold else ""
        for k, line in enumerate(words.split("\n")):
            self.parts.append(
                f'<text x="{x:g}" y="{y + k * size * 1.35:g}" font-size="{size}" fill="{ink}" '
                f'text-anchor="{anchor}"{weight}>{escape(line)}</text>'
            )

    def arrow(self, *points: tuple[float, float], dashed: bool = False) -> None:
        """Draw a line from point to point with a tip at its end."""
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{SOFT}" stroke-width="1.6" '
            f'marker-end="url(#tip)"{dashes}/>'
        )

    def svg(self) -> str:
        """Return the file's text."""
        body = "\n".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{self.height}" '
            f'viewBox="0 0 {WIDTH} {self.height}" role="img" '
            'font-family="Helvetica, Arial, sans-serif">\n'
            f"<title>{escape(self.title)}</title>\n"
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{SOFT}"/></marker>'
            "</defs>\n"
            f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{self.height - 1}" rx="10" '
            f'fill="{GROUND}" stroke="{LINE}"/>\n{body}\n</svg>\n'
        )


def panel() -> Drawing:
    d = Drawing(430, "From PyTorch's stacked gates to panels")
    d.say(30, 36, "as PyTorch stores it", bold=True)
    d.say(30, 56, "[4H, I] and [4H, H], gate after gate", size=13, ink=SOFT)
    left, top, wide, high = 62, 92, (80, 110), 68
    for gate, (name, colour) in enumerate(GATES.items()):
        y = top + gate * (high + 6)
        for part in (0, 1):
            d.box(left + part * (wide[0] + 4), y, wide[part], high, GREY)
            d.box(left + part * (wide[0] + 4), y, wide[part], 17, colour)
        d.say(left - 22, y + 13, name, bold=True)
        d.say(left + wide[0] + wide[1] + 12, y + 13, "V units", size=12, ink=SOFT)
    d.say(left + wide[0] / 2, top - 8, "I columns", size=12, anchor="middle", ink=SOFT)
    middle = left + wide[0] + 4 + wide[1] / 2
    d.say(middle, top - 8, "H columns", size=12, anchor="middle", ink=SOFT)

    d.arrow((330, 190), (392, 190))
    d.say(361, 172, "V×V squares", size=12, anchor="middle", ink=SOFT)
    d.say(361, 210, "transposed", size=12, anchor="middle", ink=SOFT)

    d.say(410, 36, "as the kernels read it", bold=True)
    d.say(410, 56, "[panel][k][gate][V], from the first address to the last", size=13, ink=SOFT)
    x0, cell, row = 470, 66, 22
    lines = ["k = 0", "1", "⋮", "I − 1", "I", "I + 1", "⋮", "I + H − 1"]
    for k, name in enumerate(lines):
        y = 92 + k * row + (6 if k > 3 else 0)
        d.say(x0 - 8, y + 15, name, size=12, anchor="end", ink=SOFT)
        for gate, (letter, colour) in enumerate(GATES.items()):
            d.box(x0 + gate * cell, y, cell, row, colour, letter if name != "⋮" else "⋮", size=12)
    d.say(x0 + 4 * cell + 12, 92 + 2 * row + 4, "meets x of step t", size=12, ink=SOFT)
    d.say(x0 + 4 * cell + 12, 98 + 6 * row + 4, "meets h of t − 1", size=12, ink=SOFT)
    d.say(x0 + 2 * cell, 296, "panel 0: hidden units 0 … V − 1", anchor="middle", size=13)
    for k, name in enumerate(("panel 1: units V … 2V − 1", "panel 2 …")):
        d.box(x0, 310 + k * 30, 4 * cell, 24, GREY, name, size=12)
    d.say(
        30,
        410,
        "AVX-512, float32: V = 16, so one k of a panel is 4 vectors of 64 bytes: four cache lines. "
        "Lanes past H are zero.",
        size=13,
    )
    return d


def tile() -> Drawing:
    d = Drawing(440, "The register tile: 6 rows of the batch by 4 gates of a panel")
    x0, y0, w, h = 170, 122, 84, 34
    d.say(x0, 36, "line k of the panel: 4 loads", bold=True)
    for gate, (name, colour) in enumerate(GATES.items()):
        d.box(x0 + gate * (w + 6), 52, w, 28, colour, f"w[k] {name}", size=13)
        d.arrow((x0 + gate * (w + 6) + w / 2, 84), (x0 + gate * (w + 6) + w / 2, 114))
    for r in range(ROWS):
        y = y0 + r * (h + 6)
        d.box(30, y + 3, 92, h - 6, BLUE if r == 0 else GROUND, f"row {r}: a[k]", size=13)
        d.arrow((126, y + h / 2), (x0 - 6, y + h / 2), dashed=r > 0)
        for gate, colour in enumerate(GATES.values()):
            d.box(x0 + gate * (w + 6), y, w, h, colour, f"+= a·w  ×{LANES}", size=12)
    d.say(30, 384, "one register, filled anew for each row", size=12, ink=SOFT)

    x1 = 560
    d.say(x1, 36, "Registers (32 in AVX-512)", bold=True)
    d.say(
        x1,
        62,
        "24 accumulators, 6 rows × 4 gates\n 4 weight vectors\n 1 broadcast number of a row\n"
        "29 in use; a seventh row would need 33",
        size=13,
    )
    d.say(x1, 156, "For each k", bold=True)
    d.say(
        x1,
        182,
        "4 loads of weights, 256 bytes\n6 broadcasts, 24 bytes\n"
        "24 fused multiply-adds of 16 lanes\n= 768 operations",
        size=13,
    )
    d.say(x1, 276, "16 registers (AVX2, SSE2)", bold=True)
    d.say(x1, 302, "6 rows × 2 gates, twice over k:\n12 + 2 + 1 = 15 in use", size=13)

    y = 396
    d.say(30, y + 19, "each accumulator, alone:", size=13, bold=True)
    x = 206
    for words, width, colour in (
        ("bias", 54, GREY),
        ("x₀w₀", 62, BLUE),
        ("x₁w₁", 62, BLUE),
        ("…", 34, BLUE),
        ("h₀w", 56, GREEN),
        ("h₁w", 56, GREEN),
        ("…", 34, GREEN),
    ):
        d.box(x, y, width, 28, colour, words, size=13)
        d.arrow((x + width + 2, y + 14), (x + width + 18, y + 14))
        x += width + 20
    d.say(x + 4, y + 19, "one chain, ascending k", size=13)
    return d


def step() -> Drawing:
    d = Drawing(430, "One step's journey")
    d.say(30, 36, "for each step t, for each panel, for each tile of up to 6 rows", bold=True)
    y, h = 92, 92
    d.box(30, y, 74, h, GREY, "bias of\nthe panel", size=13)
    d.box(136, y, 116, h, BLUE, "tile over\nx of step t\nk = 0 … I − 1", size=13)
    d.box(284, y, 126, h, GREEN, "tile over\nh of t − 1\nk = I … I + H − 1", size=13)
    d.box(442, y, 84, h, GREY, "gates_pre\n6 × 4 × V\n1.5 kB in L1", size=13)
    d.box(558, y, 136, h, "#fdf1dc", "first pass\ni, f, o = σ, g = tanh\nc = f·c + i·g", size=13)
    d.box(726, y, 124, h, "#fdf1dc", "second pass\nh = o·tanh c", size=13)
    for left, right in ((104, 136), (252, 284), (410, 442), (526, 558), (694, 726)):
        d.arrow((left + 2, y + h / 2), (right - 2, y + h / 2))
    for x, width, words in ((30, 380, "accumulators in registers"), (558, 292, "row after row")):
        d.say(x + width / 2, y - 12, words, size=12, anchor="middle", ink=SOFT)

    d.say(30, 226, "in memory", bold=True)
    low = 246
    d.box(136, low, 116, 56, GROUND, "x\n[T, B, I]", size=13)
    d.arrow((194, low - 2), (194, y + h + 2))
    d.box(284, low, 126, 56, GROUND, "y of t − 1\n(or h0)", size=13)
    d.arrow((347, low - 2), (347, y + h + 2))
    d.box(558, low, 62, 56, GROUND, "c\nt − 1, t", size=13)
    d.arrow((580, low - 2), (580, y + h + 2))
    d.arrow((600, y + h + 2), (600, low - 2))
    d.box(632, low, 62, 56, GROUND, "tape\ni, f, g, o", size=13, dashed=True)
    d.arrow((663, y + h + 2), (663, low - 2), dashed=True)
    d.box(726, low, 124, 56, GROUND, "y of t\n[T, B, D·H]", size=13)
    d.arrow((788, y + h + 2), (788, low - 2))
    d.arrow((788, low + 58), (788, 330), (347, 330), (347, low + 60))
    d.say(567, 348, "the next step reads its h where y was written", size=13, anchor="middle")
    d.say(
        30,
        384,
        "No projection buffer, no gates in scratch memory, no copy of h. The tape (dashed) is "
        "written in training only:\nthen c has a place for each step, else one place for all.",
        size=13,
    )
    return d


def small_batches() -> Drawing:
    d = Drawing(520, "What changes when a step has few rows")
    d.say(30, 36, "1. Project ahead: one to five rows", bold=True)
    for k in range(8):
        d.box(30 + k * 30, 52, 26, 26, BLUE, f"{k}", size=12)
    d.say(278, 70, "x of 8 steps × 4 rows = 32 rows", size=13)
    d.arrow((150, 82), (150, 104))
    d.say(162, 98, "full tiles, k = 0 … I − 1", size=12, ink=SOFT)
    for k in range(8):
        d.box(30 + k * 30, 110, 26, 26, GREY, f"{k}", size=12)
    d.say(278, 128, "the accumulators so far; each step loads its own and goes on with h", size=13)

    d.say(30, 178, "2. Two panels at once: one row", bold=True)
    d.box(30, 204, 76, 30, BLUE, "a[k]", size=13)
    for p in range(2):
        for gate, (name, colour) in enumerate(GATES.items()):
            d.box(148 + p * 196 + gate * 46, 196, 42, 46, colour, name, size=13)
        d.say(148 + p * 196 + 90, 260, f"panel {p}", size=12, anchor="middle", ink=SOFT)
    d.arrow((110, 219), (142, 219))
    d.say(556, 215, "8 independent chains, not 4:\nenough to hide the latency of fma", size=13)

    d.say(30, 302, "3. Alternating order: weights larger than the cache", bold=True)
    for line, (words, order) in enumerate(
        (("step t", range(10)), ("step t + 1", range(9, -1, -1)), ("step t + 2", range(10)))
    ):
        y = 318 + line * 34
        d.say(30, y + 18, words, size=13)
        for place, number in enumerate(order):
            colour = GREEN if line and place < 4 else GREY
            d.box(122 + place * 40, y, 36, 26, colour, str(number), size=12)
    d.say(540, 336, "panels in the order of reading;\ngreen: read last a step ago, still cached",
          size=13)  # fmt: skip

    d.say(30, 450, "4. Lockstep: two threads on the units of one step", bold=True)
    for step in range(3):
        x = 30 + step * 200
        for thread, colour in enumerate((BLUE, GREEN)):
            for k in range(2):
                d.box(x + (thread * 2 + k) * 44, 466, 40, 26, colour, str(thread * 2 + k), size=12)
        if step < 2:
            d.arrow((x + 178, 479), (x + 196, 479))
    d.say(618, 476, "each takes its own pieces\nagain: weights stay cached", size=13)
    return d


def backward() -> Drawing:
    d = Drawing(488, "Backward: one chunk of steps")
    d.say(30, 36, "steps, taken from the last to the first (B = 32: groups of 4 steps)", bold=True)
    for k in range(24):
        colour = RED if k >= 12 else GREY
        d.box(30 + k * 34, 50, 30, 24, colour, str(k), size=12)
    for k in range(6):
        x = 30 + k * 4 * 34
        d.arrow((x + 4 * 34 - 6, 84), (x + 4, 84))
        d.say(x + 65, 102, "128 rows", size=12, anchor="middle", ink=SOFT)
    d.say(642, 124, "a chunk: 3 groups, 384 rows", size=13, anchor="middle")

    d.box(30, 150, 230, 100, "#fdf1dc", "", size=13)
    d.say(44, 172, "cell_gradients", bold=True)
    d.say(44, 194, "reads the tape: i, f, g, o and c\ntanh c again; dh + dy, dc\n"
          "→ dgates, dc of t − 1", size=13)  # fmt: skip
    d.arrow((262, 200), (318, 200))
    d.box(320, 150, 230, 100, RED, "", size=13)
    d.say(334, 172, "dgates of the chunk", bold=True)
    d.say(334, 194, "[step][panel][row][gate][V]\nwritten once, read by all\nthree products as "
          "they lie", size=13)  # fmt: skip

    d.arrow((552, 168), (608, 168), (608, 176), (640, 176))
    d.box(642, 150, 208, 52, GREEN, "dh of t − 1 = dgates × W_hh\nat each step", size=13)
    d.arrow((552, 232), (640, 232))
    d.box(642, 212, 208, 52, BLUE, "dx = dgates × W_ih\nstill hot, or per chunk", size=13)
    d.arrow((746, 148), (746, 136), (145, 136), (145, 148))

    d.say(30, 300, "dW += (what the cell read)ᵀ × dgates, once per chunk", bold=True)
    d.box(30, 318, 128, 110, GREEN, "x of t, h of t − 1\nin tiles of\n6 columns\n[step][row][6]",
          size=13)  # fmt: skip
    d.say(172, 378, "×", size=18)
    d.box(198, 318, 128, 110, RED, "dgates of\na panel\n[step][row]\n[gate][V]", size=13)
    d.arrow((332, 372), (372, 372))
    for k, name in enumerate(("steps 20 – 23", "steps 16 – 19", "steps 12 – 15")):
        d.box(376, 318 + k * 40, 126, 30, GREY, name, size=13)
        d.arrow((504, 333 + k * 40), (560, 333 + k * 40 + (20 - 20 * k)))
    d.box(564, 340, 96, 66, GREY, "dW\n[k][gate][V]", size=13)
    d.say(676, 344, "each group from zero\nin registers, then added:\nthe order is fixed,\n"
          "whoever does it", size=13)  # fmt: skip
    d.say(
        30,
        464,
        "Threads take columns (240 at a time) and panels of dW, never rows: "
        "no private copies, nothing to reduce.",
        size=13,
    )
    return d


def threads() -> Drawing:
    d = Drawing(385, "Two ways to share a layer, and a worker that comes late")
    d.say(30, 36, "Enough rows: an item of rows for each thread; then half of another's", bold=True)
    lanes = (
        ("caller", 0, ("rows 0 – 31, all steps", "48 – 63, the later steps"), BLUE),
        ("worker", 140, ("rows 32 – 63, first steps", "32 – 47, the later steps"), GREEN),
    )
    for line, (name, late, (first, then), colour) in enumerate(lanes):
        y = 56 + line * 42
        d.say(30, y + 20, name, size=13)
        if late:
            d.box(100, y, late - 6, 30, GROUND, "still waking up", size=12, dashed=True)
        d.box(100 + late, y, 354 - late, 30, colour, first, size=13)
        d.box(460, y, 200, 30, colour, then, size=13)
    d.arrow((100, 148), (730, 148))
    d.say(738, 152, "time", size=13, ink=SOFT)

    d.say(30, 200, "Few rows, long steps: lockstep over pieces of hidden units", bold=True)
    steps = (
        ("step 0", ("a", "b", "c", "d"), ()),
        ("step 1", ("a", "b", "c"), ("d",)),
        ("step 2", ("a", "b"), ("c", "d")),
        ("step 3", ("a", "b"), ("c", "d")),
    )
    for line, name in enumerate(("caller", "worker")):
        d.say(30, 258 + line * 42, name, size=13)
    x = 100
    for name, mine, theirs in steps:
        width = 44 * max(len(mine), len(theirs))
        d.say(x + width / 2, 228, name, size=12, anchor="middle", ink=SOFT)
        for k, piece in enumerate(mine):
            d.box(x + 44 * k, 238, 40, 30, BLUE, piece, size=13)
        for k, piece in enumerate(theirs):
            d.box(x + width - 44 * (len(theirs) - k), 280, 40, 30, GREEN, piece, size=13)
        if not theirs:
            d.box(x, 280, width - 4, 30, GROUND, "still waking up", size=12, dashed=True)
        x += width + 26
    d.arrow((100, 328), (730, 328))
    d.say(738, 332, "time", size=13, ink=SOFT)
    d.say(
        30,
        362,
        "A piece is taken by whoever claims it first. A step waits for claimed pieces, never for "
        "a thread that has claimed none.",
        size=13,
    )
    return d


def drawings() -> dict[str, str]:
    """Each file's name and text."""
    made = {
        "panel": panel(),
        "tile": tile(),
        "step": step(),
        "small-batches": small_batches(),
        "backward": backward(),
        "threads": threads(),
    }
    return {f"{name}.svg": drawing.svg() for name, drawing in made.items()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in drawings().items():
        (FOLDER / name).write_text(text)
