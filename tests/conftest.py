"Toy models gain nothing from many threads, and the workers of pytest share the cores. A browser, for the pages that people open."
import os, shutil
from pathlib import Path
from urllib.parse import urlsplit
import pytest
os.environ.setdefault('OMP_NUM_THREADS', '1')

QUIET = '--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run'.split()

@pytest.fixture(scope='session')
def browser():
    "Chromium, as the system or Playwright has it."
    api = pytest.importorskip('playwright.sync_api', reason="no Playwright: pip install -e '.[dev]'")
    with api.sync_playwright() as p:
        path = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
        if not path and not Path(p.chromium.executable_path).exists(): pytest.skip('no browser: apt-get install chromium')
        browser = p.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()

@pytest.fixture
def tab(browser):
    "A tab that remembers what went wrong (`said`) and asked other machines (`asked`), and looks for images that did not load."
    tab = browser.new_page(viewport=dict(width=1400, height=900))
    tab.set_default_timeout(120_000)
    tab.said,tab.asked = [],[]
    tab.on('console', lambda m: tab.said.append(m.text) if m.type=='error' else None)
    tab.on('pageerror', lambda e: tab.said.append(str(e)))
    tab.on('requestfailed', lambda r: None if r.failure=='net::ERR_ABORTED' else tab.said.append(f'failed: {r.url}')) # Lab drops an image's first address for a better one
    tab.on('request', lambda r: tab.asked.append(r.url) if urlsplit(r.url).hostname not in (None,'127.0.0.1') else None)
    tab.missing_images = lambda: tab.evaluate(MISSING_IMAGES)
    yield tab
    tab.close()

MISSING_IMAGES = '''async () => {
    const images = [...document.images]
    for (const i of images) i.loading = 'eager'
    await Promise.all(images.map(i => i.decode().catch(() => 0)))
    return images.filter(i => !i.naturalWidth).map(i => i.src) }'''

def pytest_addoption(parser): parser.addoption('--every-notebook', action='store_true', help='run every notebook in JupyterLab, not only a few')
