"""The pages that `tts-eval view` shows, made in memory: the leaderboard with the list of runs, and a run's report.

A run's own report.html is shown where this version made it and it is newer than everything in the run; else the page
is made from the run as it is now. What was made is remembered until the run changes. Nothing is ever written to the
folder.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from threading import Lock, Thread
from typing import TypeAlias
from urllib.parse import quote

from reports.hacking import hacking_of
from reports.html import render_html
from reports.leaderboard import Leaderboard, groups_of
from reports.leaderboard_page import STYLES
from reports.leaderboard_tables import leaderboard_tables, unreadable_table
from reports.live import Progress, Watch, is_going, runs_below
from reports.read_run import read_run
from reports.run_line import RunLine, other_versions_named, read_line
from reports.served_files import file_at
from reports.shelf import Shelf
from reports.summary import summarise
from reports.transfer import transfer_of
from reports.transfer_tables import transfer_section
from reports.web_page import REPORT_SCRIPTS, render_page, script_source
from tts_eval.errors import TTSEvalError

REPORT = "report/report.html"
SCRIPTS = ("leaderboard.js", "view.js")
"""Of the index."""
PATIENCE = 2.0
"""Seconds that the leaderboard waits for runs to be read."""
MOST_PAGES = 8
"""Reports that are remembered: some MB each."""
Fingerprint: TypeAlias = tuple[tuple[str, int, int], ...]


class Viewer:
    """The pages of one folder. Any number of threads may ask; one makes a page at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._watch = Watch(self.root)
        self._lines: dict[Path, tuple[Fingerprint, RunLine | str]] = {}
        self._pages: OrderedDict[Path, tuple[tuple[Fingerprint, bool], str]] = OrderedDict()
        """With what the run was like, and whether it was still going."""
        self._making, self._watching = Lock(), Lock()
        self._reader: Thread | None = None

    def progress(self) -> list[Progress]:
        """How far every run is."""
        with self._watching:
            return self._watch.look()

    def index(self) -> str:
        """The leaderboard and the list of runs, as a page.

        Large runs take seconds to read, the first time: a page that would take longer than `PATIENCE` comes without
        them, says so, and asks to be loaded again.
        """
        runs = self.progress()
        if self._reader is None or not self._reader.is_alive():
            self._reader = Thread(target=self._read_lines, daemon=True)
            self._reader.start()
        self._reader.join(PATIENCE)
        board, unread = self._board()
        return render_page(
            "view.html.j2",
            SCRIPTS,
            styles=STYLES,
            plays=False,
            connects=True,
            title=self.root.name,
            progress=runs,
            unread=unread,
            groups=[
                {"table": entry.table, "keys": entry.keys, "group": group}
                for entry, group in zip(leaderboard_tables(board), board.groups, strict=True)
            ],
            unreadable=unreadable_table(board),
            links={run.name: address(run.path) for run in runs},
            addresses={run.path: address(run.path) for run in runs},
        )

    def report(self, folder: Path) -> Path | str:
        """A run's report: the file it has, or else the page.

        Raises:
            TTSEvalError: there is no run, or it is damaged.
        """
        mark = fingerprint(folder), is_going(folder)
        own = file_at(self.root, (folder / REPORT).relative_to(self.root).as_posix())
        newest = max((time for _, time, _ in mark[0]), default=0)
        if own is not None and own.stat().st_mtime_ns >= newest and _has_our_script(own):
            return own
        with self._making:
            if folder not in self._pages or self._pages[folder][0] != mark:
                self._pages[folder] = mark, report_page(folder)
                if len(self._pages) > MOST_PAGES:
                    self._pages.popitem(last=False)
            self._pages.move_to_end(folder)
            return self._pages[folder][1]

    def _read_lines(self) -> None:
        for folder in runs_below(self.root):
            mark = fingerprint(folder)
            if folder not in self._lines or self._lines[folder][0] != mark:
                self._lines[folder] = mark, _line_or_problem(folder)

    def _board(self) -> tuple[Leaderboard, list[str]]:
        """Of what has been read, and the names of runs that were never read yet."""
        lines, unreadable, unread = [], [], []
        for folder in runs_below(self.root):
            name = self.root.name if folder == self.root else folder.relative_to(self.root).as_posix()
            line = self._lines[folder][1] if folder in self._lines else None
            if line is None:
                unread.append(name)
            elif isinstance(line, str):
                unreadable.append((name, line))
            else:
                lines.append(replace(line, name=name))
        return Leaderboard(groups=groups_of(lines), unreadable=tuple(unreadable)), unread


def _has_our_script(page: Path) -> bool:
    """Whether the page says, at its beginning, that it runs the script that our reports have now."""
    with page.open(encoding="utf-8", errors="replace") as stream:
        return script_source(REPORT_SCRIPTS) in stream.read(2000)


def address(path: str) -> str:
    """Of the report of the run at `path` inside the folder, relative to the index."""
    return "runs/" + quote(f"{path}/{REPORT}".lstrip("/"))


def fingerprint(folder: Path) -> Fingerprint:
    """Names, times and sizes of what a run's numbers are made of: two that are equal are of the same content."""
    paths = [folder / "run.json", folder / "requests.jsonl"]
    paths += sorted(path for table in ("candidates", "scores") for path in (folder / table).glob("part-*.parquet"))
    found = []
    for path in paths:
        try:
            entry = path.stat()
        except OSError:  # gone again, or not there yet
            continue
        found.append((f"{path.parent.name}/{path.name}", entry.st_mtime_ns, entry.st_size))
    return tuple(found)


def report_page(folder: Path) -> str:
    """A run's report as it is now, with links to the run's audio; how clips are said is not measured for it."""
    with other_versions_named(folder):
        results = read_run(folder)
        summary = summarise(results)
        section = transfer_section(hacking_of(results), transfer_of(results))
        shelf = Shelf(folder, "link", folder / "report", most_seconds=0.0)
        return render_html(results, summary, shelf, section, folder)


def _line_or_problem(folder: Path) -> RunLine | str:
    try:
        return read_line(folder)
    except TTSEvalError as error:
        return str(error)
