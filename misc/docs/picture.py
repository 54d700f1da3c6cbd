"""Makes docs/report.png, the picture of a report in README.md: `python misc/docs/picture.py [REPORT.html]`.

The report is that of the demo (`make demo`), if no other one is given. Chromium takes the picture (misc/setup/browser).
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / ".demo" / "report.html"
PICTURE = ROOT / "docs" / "report.png"
WIDTH, HEIGHT = 1240, 876
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60


def take(report: Path, picture: Path) -> None:
    """The top of the page, as a screen shows it."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("There is no Chromium: misc/setup/browser installs it.")
    if not report.is_file():
        sys.exit(f"There is no report {report}: make demo writes one.")
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                f"--user-data-dir={profile}", f"--window-size={WIDTH},{HEIGHT}", "--force-device-scale-factor=1.5",
                "--virtual-time-budget=5000", f"--screenshot={picture}", report.resolve().as_uri(),
            ],
            check=True, timeout=PATIENCE, capture_output=True,
        )  # fmt: skip


def smaller(picture: Path) -> None:
    """With a palette, which is enough for flat colors."""
    from PIL import Image

    with Image.open(picture) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(picture, optimize=True)


if __name__ == "__main__":
    take(Path(sys.argv[1]) if len(sys.argv) > 1 else REPORT, PICTURE)
    smaller(PICTURE)
    print(f"Wrote {PICTURE} ({PICTURE.stat().st_size // 1000} KB).")
