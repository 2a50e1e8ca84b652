#!/usr/bin/env python3
"""Measure a terminal program from outside, through a pseudo-terminal (Unix, Python 3.10+).

    ptymeter.py --first MODEL --key down,up --quit q --max t_first=1 -- tidegate demo
    ptymeter.py --first MODEL --key t,esc --expect Throttle --expect MODEL -- tidegate demo

Each run starts the command on a fresh terminal, waits for its first screen, watches it idle,
presses keys and quits. Output: one JSON line with medians (keys pooled) and, in `runs`, each run.

  t_byte, t_ink     s    start to the first byte; to a screen with --ink non-blank cells
  t_first           s    start to the first screen that matches --first
  t_settle          s    start to the last output before 0.4 s of silence
  start_cpu_s       s    CPU (user + system) of the process tree until then (start_bytes: output)
  idle_cpu_pct      %    CPU of the tree over --idle seconds (100 = one core)
  idle_Bps               bytes per second to the terminal meanwhile (what ssh must carry)
  rss_mb, pss_mb    MiB  memory of the tree after that
  key_*_ms          ms   key press to the first byte of the answer: median, p95, max
  match_*_ms        ms   key press to the first screen that matches --expect
  exit_s            s    --quit key to the end of the program (exit_code)

The program's questions to the terminal are answered as a current xterm would, so that it does
not wait in vain. With pyte installed, text is matched on an emulated screen; without it, on the
output less its escape sequences, which finds words that are painted in one go.

Limits: a refresh just after a key press counts as its answer (each press first waits for a gap
in the output). A real terminal's painting is not included. CPU (in steps of 10 ms) and memory
need /proc and are left out elsewhere. `noise` is the wall time of a busy loop over its CPU time:
1.0 on a quiet machine; above 1.2 trust bytes, then CPU, not the clock.
Exit status: 0; 1 if a --max is exceeded or its metric is missing; 2 if a run failed.
"""

# /proc is read as text, often: plain strings are enough.
# ruff: noqa: PTH112, PTH119, PTH123, PTH208

import argparse
import fcntl
import json
import math
import os
import pty
import re
import select
import signal
import statistics
import struct
import sys
import termios
import time

try:
    import pyte
except ImportError:
    pyte = None

Clock = time.perf_counter
QUIET = 0.4  # seconds of silence that end start-up
QUIET_CAP, KEY_CAP = 3.0, 1.5  # longest wait for that silence, for the answer to a key

# What a program may ask the terminal, and the answer.
QUERIES = [
    (rb"\x1b\[0?c", b"\x1b[?62;22c"),  # device attributes
    (rb"\x1b\[6n", b"\x1b[1;1R"),  # cursor position
    (rb"\x1b\[\?2026\$p", b"\x1b[?2026;2$y"),  # synchronised output: known, off
    (rb"\x1b\]10;\?(?:\x07|\x1b\\)", b"\x1b]10;rgb:c0c0/c0c0/c0c0\x1b\\"),  # foreground
    (rb"\x1b\]11;\?(?:\x07|\x1b\\)", b"\x1b]11;rgb:0000/0000/0000\x1b\\"),  # background
]
QUERY = re.compile(b"|".join(b"(" + question + b")" for question, _ in QUERIES))
# An escape sequence whose end has not been read yet.
UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[\]P_X^][^\x07\x1b]*\x1b?)?\Z")
STRINGS = rb"\x1b[P_X^].*?\x1b\\|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
NOT_FOR_PYTE = re.compile(  # valid sequences that pyte would print as text
    rb"\x1b\[[<=>?][0-9;:]*[ -/]*[@-gi-km-~]"  # private, but for set and reset mode
    rb"|\x1b\[[0-9;:]*[!-/]+[@-~]|\x1b\[[0-9;]*:[0-9;:]*m|" + STRINGS, re.S,
)  # fmt: skip
ANY_SEQUENCE = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|" + STRINGS + rb"|\x1b[ -/]*[0-~]", re.S)
ARROWS = {"up": b"A", "down": b"B", "right": b"C", "left": b"D", "home": b"H", "end": b"F"}
NAMED_KEYS = {
    "enter": b"\r", "tab": b"\t", "esc": b"\x1b", "space": b" ", "comma": b",",
    "backspace": b"\x7f", "pgup": b"\x1b[5~", "pgdn": b"\x1b[6~", "f1": b"\x1bOP",
}  # fmt: skip


class Terminal:
    """A command on its own pseudo-terminal, and what it shows there."""

    def __init__(self, command: list[str], cols: int, rows: int, env: dict[str, str]) -> None:
        self.screen = pyte.Screen(cols, rows) if pyte else None
        self.stream = pyte.ByteStream(self.screen) if pyte else None
        self.plain = ""  # what was shown, where there is no pyte
        self.errors = 0  # sequences that pyte failed on
        self.total = 0  # bytes written by the program
        self.t_byte: float | None = None
        self.closed = False
        self.app_cursor = False  # arrow keys in application mode
        self._tail = b""  # an unfinished sequence
        self._unseen = b""  # read, not yet on the screen
        self.start = self.t_last = Clock()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
                os.execvpe(command[0], command, env)
            finally:
                os._exit(127)

    def pump(self, timeout: float) -> bool:
        """Read once, answer questions; True when something came."""
        if self.closed or not select.select([self.fd], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.closed = not data
        if self.closed:
            return False
        self.t_last = Clock()
        self.t_byte = self.t_byte or self.t_last - self.start
        self.total += len(data)
        data = self._tail + data
        cut = UNFINISHED.search(data)
        whole, self._tail = (data[: cut.start()], cut[0]) if cut else (data, b"")
        for match in QUERY.finditer(whole):
            self.write(QUERIES[match.lastindex - 1][1])
        on, off = whole.rfind(b"\x1b[?1h"), whole.rfind(b"\x1b[?1l")
        if on != off:
            self.app_cursor = on > off
        self._unseen += whole
        return True

    def text(self) -> str:
        """The screen now. Emulation happens here, away from the reads whose times count."""
        data, self._unseen = self._unseen, b""
        if self.stream is None:
            data = ANY_SEQUENCE.sub(lambda m: b"" if m[0].endswith(b"m") else b" ", data)
            self.plain = (self.plain + data.decode("utf-8", "replace"))[-200_000:]
            return self.plain
        try:
            self.stream.feed(NOT_FOR_PYTE.sub(b"", data))
        except Exception:  # pyte raises many kinds on rare sequences; the rest still counts
            self.errors += 1
        return "\n".join(self.screen.display)

    def write(self, data: bytes) -> None:
        try:
            os.write(self.fd, data)
        except OSError:
            self.closed = True

    def press(self, name: str) -> None:
        """Send a key: a name, ctrl+x or ^x, or plain text."""
        low = name.lower()
        if low in ARROWS:
            self.write((b"\x1bO" if self.app_cursor else b"\x1b[") + ARROWS[low])
        elif re.fullmatch(r"(ctrl\+|\^)[a-z]", low):
            self.write(bytes([ord(low[-1]) & 31]))
        else:
            self.write(NAMED_KEYS.get(low, name.encode()))

    def close(self, quit_key: str | None) -> tuple[int | None, float]:
        """Ask, then force, the process group started here to end: exit code, seconds."""
        begin, code = Clock(), None
        if quit_key:
            self.press(quit_key)
        asked = [(0, 2.0)] if quit_key or self.closed else []
        for sig, patience in [*asked, (signal.SIGTERM, 1.0), (signal.SIGKILL, 1.0)]:
            if sig:
                os.killpg(self.pid, sig)
            end, done = Clock() + patience, 0
            while not done and Clock() < end:
                done, status = os.waitpid(self.pid, os.WNOHANG)
                if not done and not self.pump(0.02):  # a full terminal would block the exit
                    time.sleep(0.005)
            if done:
                code = os.waitstatus_to_exitcode(status)
                break
        os.close(self.fd)
        return code, Clock() - begin


def process_tree(root: int) -> dict[int, list[str]]:
    """`root` and its descendants: pid to the fields of /proc/PID/stat after the name."""
    stats: dict[int, list[str]] = {}
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                stats[int(pid)] = file.read().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
    tree = {root} & stats.keys()
    while more := {pid for pid, fields in stats.items() if int(fields[1]) in tree} - tree:
        tree |= more
    return {pid: stats[pid] for pid in tree}


def cpu_seconds(root: int) -> float:
    """CPU of the tree, with that of children that have ended; NaN without /proc."""
    ticks = [sum(map(int, fields[11:15])) for fields in process_tree(root).values()]
    return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else math.nan


def memory(root: int) -> dict[str, float]:
    rss = pss = 0.0
    for pid in process_tree(root):
        try:
            with open(f"/proc/{pid}/statm", encoding="ascii") as file:
                rss += int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii", errors="replace") as file:
                pss += sum(int(s.split()[1]) / 1024 for s in file if s.startswith("Pss:"))
        except OSError:
            continue
    return {"rss_mb": rss or math.nan, "pss_mb": pss or math.nan}


def watch_start(term: Terminal, args: argparse.Namespace) -> dict:
    """Wait for the first screen, and for silence or the end of the program after it."""
    seen: dict = {}
    while "t_settle" not in seen and Clock() - term.start < args.cap:
        if term.pump(0.02):
            text, now = term.text(), term.t_last - term.start
            if "t_ink" not in seen and sum(not c.isspace() for c in text) >= args.ink:
                seen["t_ink"] = now
            if args.first and "t_first" not in seen and args.first.search(text):
                seen["t_first"] = now
        if ("t_first" if args.first else "t_ink") in seen:
            late = Clock() - term.start > max(seen.values()) + QUIET_CAP
            if late or term.closed or Clock() - term.t_last > QUIET:
                seen["t_settle"] = term.t_last - term.start
        elif term.closed:
            break
    cpu = cpu_seconds(term.pid)
    return {"t_byte": term.t_byte, **seen, "start_cpu_s": cpu, "start_bytes": term.total}


def watch_idle(term: Terminal, seconds: float) -> dict:
    cpu, total, begin = cpu_seconds(term.pid), term.total, Clock()
    while Clock() - begin < seconds and not term.closed:
        if term.pump(0.05):
            term.text()
    span, used = Clock() - begin, cpu_seconds(term.pid) - cpu
    rates = {"idle_cpu_pct": 100 * used / span, "idle_Bps": (term.total - total) / span}
    return rates | memory(term.pid)


def watch_key(term: Terminal, key: str, expect: re.Pattern | None):
    """Milliseconds to the first byte and to the expected screen (None: it did not come)."""
    gap_end = Clock() + KEY_CAP
    while Clock() < gap_end and term.pump(0.08):
        pass
    term.text()
    term.plain = ""  # without pyte, only new output can match
    begin, first = Clock(), None
    term.press(key)
    while Clock() - begin < KEY_CAP and not term.closed:
        if not term.pump(0.005):
            continue
        passed = round((term.t_last - begin) * 1000, 1)
        first = passed if first is None else first
        if expect is None or expect.search(term.text()):
            return first, passed if expect else None
    return first, None


def run_once(args: argparse.Namespace, env: dict[str, str]) -> dict:
    cols, rows = map(int, args.size.split("x"))
    term = Terminal(args.command, cols, rows, env)
    result: dict = {}
    try:
        result |= watch_start(term, args)
        if "t_settle" not in result:
            result["failed"] = "ended early" if term.closed else "no first screen in time"
            result["screen_tail"] = term.text().strip()[-400:]
        if args.idle and not term.closed:
            result |= watch_idle(term, args.idle)
        keys, expects = (args.key or "").split(","), args.expect or [None]
        answers = [
            watch_key(term, keys[i % len(keys)], expects[i % len(expects)])
            for i in range(args.presses if args.key else 0)
            if not term.closed
        ]
        result["answers_ms"] = {"key": [a for a, _ in answers], "match": [b for _, b in answers]}
    finally:
        result["exit_code"], result["exit_s"] = term.close(args.quit)
    result["emulator_errors"] = term.errors
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in result.items() if v == v}


def summarise(runs: list[dict]) -> dict[str, float]:
    summary: dict[str, float] = {}
    for name in dict.fromkeys(name for run in runs for name in run):
        if values := [run[name] for run in runs if isinstance(run.get(name), (int, float))]:
            summary[name] = round(statistics.median(values), 3)
    for name in ("key", "match"):
        sent = [ms for run in runs for ms in run["answers_ms"][name]]
        if got := sorted(ms for ms in sent if ms is not None):
            summary[f"{name}_median_ms"] = round(statistics.median(got), 1)
            summary[f"{name}_p95_ms"] = got[math.ceil(0.95 * len(got)) - 1]
            summary[f"{name}_max_ms"] = got[-1]
            summary[f"{name}_answered_pct"] = round(100 * len(got) / len(sent), 1)
    return summary


def noise() -> float:
    wall, cpu = Clock(), time.process_time()
    while time.process_time() - cpu < 0.2:
        pass
    return round((Clock() - wall) / (time.process_time() - cpu), 2)


def limit(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, float(value)


def main(argv: list[str] | None = None) -> int:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    add = parser.add_argument
    add("--first", type=re.compile, metavar="REGEX", help="text of the first useful screen")
    add("--ink", type=int, default=40, metavar="N", help="cells that make a screen (40)")
    add("--key", metavar="KEYS", help="keys to press in turn: down,up or t,esc or ctrl+p")
    add("--expect", type=re.compile, action="append", metavar="REGEX", help="what a key shows")
    add("--presses", type=int, default=20, metavar="N", help="key presses a run (20)")
    add("--quit", metavar="KEY", help="key that ends the program (else it is terminated)")
    add("--size", default="120x40", metavar="COLSxROWS", help="terminal size (120x40)")
    add("--runs", type=int, default=3, metavar="N", help="runs (3)")
    add("--idle", type=float, default=5, metavar="S", help="idle window, 0 for none (5)")
    add("--cap", "--timeout", type=float, default=30, metavar="S", help="longest start-up (30)")
    add("--env", action="append", default=[], metavar="NAME=VALUE", help="set a variable")
    add("--max", type=limit, action="append", default=[], metavar="METRIC=X", help="a limit")
    add("--name", metavar="TEXT", help="label in the output")
    add("command", nargs=argparse.REMAINDER, metavar="-- COMMAND ...", help="what to measure")
    args = parser.parse_args(argv)
    args.command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not args.command or not re.fullmatch(r"\d+x\d+", args.size):
        parser.error("give a command after --, and --size as COLSxROWS")
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    env |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
    env |= dict(item.partition("=")[::2] for item in args.env)
    report = {"name": args.name or os.path.basename(args.command[0]), "size": args.size}
    report |= {"text_from": "pyte" if pyte else "stream", "cpus": os.cpu_count(), "noise": noise()}
    runs = [run_once(args, env) for _ in range(args.runs)]
    summary = summarise(runs)
    over = [name for name, most in args.max if summary.get(name, math.inf) > most]
    failed = sum("failed" in run for run in runs)
    report |= {**summary, "over": over, "failed_runs": failed, "runs": runs}
    print(json.dumps(report, ensure_ascii=False))
    return 2 if failed else 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
