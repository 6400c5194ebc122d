"""Charts as SVG: bars in groups, and lines over a logarithmic or linear axis. Pure: data in, text out."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 60, 70
COLORS = {"Tidemark": "#1f77b4", "etcd": "#d62728", "etcd (Debian)": "#ff9896", "limit": "#7f7f7f"}
OTHER_COLORS = ["#2ca02c", "#9467bd", "#8c564b", "#e377c2"]


def color(name, index):
    return COLORS.get(name, OTHER_COLORS[index % len(OTHER_COLORS)])


def text(x, y, content, anchor="middle", size=12, extra=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" {extra}>'
            f"{escape(str(content))}</text>")


def short(value):
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:g}{unit}"
    return f"{value:g}"


class Axis:
    """From values to a place between two pixels, with ticks."""

    def __init__(self, values, begin, end, is_log):
        self.begin, self.end, self.is_log = begin, end, is_log
        positive = [value for value in values if value > 0]
        if is_log:
            self.low = 10 ** math.floor(math.log10(min(positive)))
            self.high = 10 ** math.ceil(math.log10(max(positive)))
            self.high = self.high if self.high > self.low else self.low * 10
        else:
            self.low, self.high = 0, max(positive, default=1) * 1.1

    def place(self, value):
        if self.is_log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = value / self.high
        return self.begin + share * (self.end - self.begin)

    def ticks(self):
        if self.is_log:
            decades = round(math.log10(self.high / self.low))
            return [self.low * 10 ** i for i in range(decades + 1)]
        step = 10 ** math.floor(math.log10(self.high / 4))
        step *= next(m for m in (1, 2, 5, 10) if self.high / (step * m) <= 6)
        return [step * i for i in range(int(self.high / step) + 1)]


def frame(title, y_label, names, y_axis):
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
             f'font-family="sans-serif">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
             text(WIDTH / 2, 20, title, size=15),
             text(16, HEIGHT / 2, y_label, extra=f'transform="rotate(-90 16 {HEIGHT / 2})"')]
    for tick in y_axis.ticks():
        y = y_axis.place(tick)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(text(LEFT - 6, y + 4, short(tick), "end", 11))
    x = LEFT
    for index, name in enumerate(names):
        parts.append(f'<rect x="{x}" y="32" width="12" height="12" fill="{color(name, index)}"/>')
        parts.append(text(x + 17, 43, name, "start"))
        x += 40 + 8 * len(name)
    return parts


def bars(title, y_label, groups, is_log=False):
    """groups: {group: {name: value}}"""
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    values = [value for group in groups.values() for value in group.values()]
    axis = Axis(values, HEIGHT - BOTTOM, TOP, is_log)
    parts = frame(title, y_label, names, axis)
    slot = (WIDTH - LEFT - RIGHT) / len(groups)
    width = slot * 0.8 / len(names)
    for place, (group, of_name) in enumerate(groups.items()):
        begin = LEFT + slot * place + slot * 0.1
        middle = begin + slot * 0.4
        parts.append(text(middle, HEIGHT - BOTTOM + 16, group, "end", 11,
                          f'transform="rotate(-20 {middle:.1f} {HEIGHT - BOTTOM + 16})"'))
        for index, name in enumerate(names):
            if name not in of_name:
                continue
            top = axis.place(of_name[name])
            x = begin + width * index
            parts.append(f'<rect x="{x:.1f}" y="{top:.1f}" width="{width * 0.92:.1f}" '
                         f'height="{HEIGHT - BOTTOM - top:.1f}" fill="{color(name, index)}"/>')
            parts.append(text(x + width / 2, top - 3, f"{of_name[name]:.3g}", size=10))
    return "\n".join([*parts, "</svg>", ""])


def lines(title, x_label, y_label, series, x_names=None, is_log_x=False, is_log_y=False):
    """series: {name: [(x, y)]}; x_names, where given, are what stands at 0, 1, 2..."""
    points = [point for line in series.values() for point in line]
    y_axis = Axis([y for _, y in points], HEIGHT - BOTTOM, TOP, is_log_y)
    x_axis = Axis([x for x, _ in points] + ([len(x_names) - 1] if x_names else []), LEFT,
                  WIDTH - RIGHT - 20, is_log_x)
    parts = frame(title, y_label, list(series), y_axis)
    parts.append(text((LEFT + WIDTH) / 2, HEIGHT - 20, x_label))
    for index, x in enumerate(range(len(x_names)) if x_names else x_axis.ticks()):
        parts.append(text(x_axis.place(x), HEIGHT - BOTTOM + 18, x_names[index] if x_names else short(x)))
    for index, (name, line) in enumerate(series.items()):
        placed = [(x_axis.place(x), y_axis.place(y)) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color(name, index)}" '
                     f'stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color(name, index)}"/>'
                  for x, y in placed]
    return "\n".join([*parts, "</svg>", ""])
