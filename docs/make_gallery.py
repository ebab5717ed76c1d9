"""Makes gallery.md and its pictures from real runs; see the commands in gallery.md.

    python docs/make_gallery.py RUN --others RUN... --sweep SWEEP

Pictures are at most 1,000 pixels wide with 64 colours, so that all of them stay small. Without playwright and
Chromium there are no screenshots.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from reports.cost_table import cost_table
from reports.leaderboard import read_leaderboard
from reports.leaderboard_tables import leaderboard_tables
from reports.page import write_report
from reports.read_run import read_run
from reports.sweep_page import write_sweep_report
from reports.tables import escape_markdown, headline, metrics_table, to_markdown

HERE = Path(__file__).parent
WIDEST, COLOURS = 1000, 64
COMMANDS = """```sh
tts-eval run --suite mini --limit 16 --synth llasa-nano --n 8 --out runs/llasa-nano-1.0
tts-eval run --suite mini --limit 16 --synth llasa-nano --n 8 --temperature 0.8 --out runs/llasa-nano-0.8
tts-eval run --suite mini --limit 16 --synth piper --n 8 --out runs/piper
tts-eval report runs/llasa-nano-1.0 runs/llasa-nano-0.8 runs/piper
tts-eval view runs
```"""


def main() -> None:
    """Make all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--others", type=Path, nargs="*", default=[])
    parser.add_argument("--sweep", type=Path)
    given = parser.parse_args()
    pictures = HERE / "gallery"
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir()
    (HERE / "gallery.md").write_text("\n\n".join(sections(given.run, given.others, given.sweep)) + "\n", "utf-8")
    print(f"{sum(path.stat().st_size for path in pictures.iterdir()) / 1000:.0f} kB of pictures")


def sections(run: Path, others: list[Path], sweep: Path | None) -> Iterator[str]:
    """The page, a paragraph at a time; pictures are made on the way."""
    summary = write_report(read_run(run), run)
    yield "# Gallery"
    yield (
        "What `tts-eval report`, `tts-eval sweep` and `tts-eval view` show, from real runs of the voices that the "
        "package brings or fetches. Small runs of small models on two busy cores: look at the form, not at the "
        "numbers. There is no audio here; a run's `report.html` has it. The runs:"
    )
    yield COMMANDS
    yield (
        "`python docs/make_gallery.py runs/llasa-nano-1.0 --others runs/llasa-nano-0.8 runs/piper` makes this page; "
        "`--sweep` adds a sweep."
    )
    yield "## One run\n\n" + escape_markdown(headline(summary))
    yield from screenshot("file", run / "report/report.html", "report", "A run's report, opened from disk")
    yield "Each metric over N and over what N costs, by the held-out judge and by the one that chose (`scaling`):"
    yield picture(run / "report/scaling.png", "scaling", "WER and speaker similarity over candidates and over seconds")
    yield "The gain that the choosing judge promised, and what arrived by the others (`promise`):"
    yield picture(run / "report/promise.png", "promise", "Gain promised beside gain arrived, for every N")
    yield "The best of k by each judge, with the oracle and a random pick (`best_at_k`):"
    yield picture(run / "report/best_at_k.png", "best_at_k", "Expected metric of the best of k candidates")
    yield "The tables, as `report.md` has them (`report.tex` has the same for a paper):"
    yield to_markdown(metrics_table(summary)).replace("## ", "### ", 1)
    yield to_markdown(cost_table(summary)).replace("## ", "### ", 1)
    if others:
        yield "## Several runs"
        yield from screenshot("view", run.parent, "view", "The leaderboard and the runs of a folder, in the browser")
        for entry in leaderboard_tables(read_leaderboard([run, *others])):
            yield to_markdown(entry.table).replace("## ", "### ", 1)
    if sweep:
        write_sweep_report(sweep)
        yield "## A sweep\n\nStrategies at what they spent, with the front that nothing beats (`tts-eval sweep`):"
        found = sorted((sweep / "report").glob("pareto-asr-base*.png"))[:1]
        for place in (*found, *(sweep / "report").glob("tradeoff.png")):
            yield picture(place, place.stem, "Cost and metric of every strategy of a sweep")
    yield "Every figure is written as PDF, PNG and SVG with its data as CSV beside it."


def picture(source: Path, name: str, alt: str) -> str:
    """A small copy of a picture, and the Markdown that shows it."""
    keep(Image.open(source), name)
    return f"![{alt}](gallery/{name}.png)"


def keep(image: Image.Image, name: str) -> None:
    """Write a picture small."""
    small = image.convert("RGB")
    small.thumbnail((WIDEST, 10 * WIDEST), Image.Resampling.LANCZOS)
    small.quantize(COLOURS, dither=Image.Dither.NONE).save(HERE / "gallery" / f"{name}.png", optimize=True)


def screenshot(how: str, what: Path, name: str, alt: str) -> Iterator[str]:
    """A page as Chromium shows it at 1,400 x 900: a file from disk, or a folder by `tts-eval view`."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return
    if chromium is None:
        return
    server = None
    address = what.resolve().as_uri()
    if how == "view":
        command = [sys.executable, "-m", "tts_eval.cli", "view", str(what), "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        address = re.sub(r"\s", "", server.stdout.readline() if server.stdout else "")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(address)
        page.wait_for_timeout(1000)
        keep(Image.open(io.BytesIO(page.screenshot())), name)
        browser.close()
    if server:
        server.terminate()
        server.wait()
    yield f"![{alt}](gallery/{name}.png)"


if __name__ == "__main__":
    main()
