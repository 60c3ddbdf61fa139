"""JupyterLab, as readers open it: every notebook survives "Restart Kernel and Run All Cells".

    pytest tests/test_lab.py                     a room and a tutorial; the index is opened
    pytest tests/test_lab.py --every-notebook    all of them
"""
import json, os, re, shutil, signal, socket, subprocess, sys, time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
import pytest
from run_notebooks import FOLDERS

pytestmark = pytest.mark.xdist_group('lab') # in one process, since they share one server
ROOT = Path(__file__).resolve().parent.parent
FOUND = [p for folder in FOLDERS for p in sorted((ROOT/'nbs'/folder).glob('[!_.]*.ipynb'))]
NOTEBOOKS = [str(p.relative_to(ROOT)) for p in FOUND if p.stem!='index'] # The index has nothing to run

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

@pytest.fixture(scope='module')
def lab(tmp_path_factory):
    "`make lab` on a copy of the repository, without the settings of whoever runs this: its folder, and the address that it says."
    here,port = tmp_path_factory.mktemp('lab'),free_port()
    folder = here/'repository'
    for name in 'nbs','figures','data/talk','profiles','ssl_fusion': shutil.copytree(ROOT/name, folder/name, ignore=shutil.ignore_patterns('.ipynb_checkpoints'))
    for name in 'Makefile','settings.ini': shutil.copy(ROOT/name, folder)
    settings = here/'settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings'
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps(dict(windowingMode='none'))) # cells out of sight are on the page too
    own = {f'JUPYTER{k}_DIR': str(here/k) for k in ('_CONFIG','_DATA','_RUNTIME','LAB_WORKSPACES')}
    env = {k: v for k,v in os.environ.items() if k!='SSL_FUSION_DATA'} | own | dict(JUPYTERLAB_SETTINGS_DIR=str(here/'settings'))
    options = f'--no-browser --allow-root --ServerApp.ip=127.0.0.1 --ServerApp.port={port}'
    command = ['make','lab','ENV=none',f'PYTHON={sys.executable}',f'LAB={options} --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate']
    with (here/'log').open('w') as log: server = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        answers(f'http://127.0.0.1:{port}/api', server, here/'log')
        yield folder,re.search(rf'http://127.0.0.1:{port}/\S+', (here/'log').read_text())[0]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)

def answers(url, server, log, seconds=60):
    "Wait for a server."
    for _ in range(5*seconds):
        try: return urlopen(url, timeout=5)
        except OSError: time.sleep(.2)
        if server.poll() is not None: break
    pytest.fail(f'{url} does not answer:\n{log.read_text()}')

def emptied(path):
    "Forget what a notebook showed; the number of its code cells."
    nb = json.loads(path.read_text(encoding='utf-8'))
    code = [c for c in nb['cells'] if c['cell_type']=='code']
    for c in code: c.update(outputs=[], execution_count=None)
    path.write_text(json.dumps(nb), encoding='utf-8')
    return len(code)

def shut_down(address):
    "End all kernels: each holds a gigabyte."
    url = urlsplit(address)
    def ask(path, method='GET'): return urlopen(Request(f'http://{url.netloc}/api/kernels{path}?{url.query}', method=method)).read()
    for kernel in json.loads(ask('')): ask('/'+kernel['id'], 'DELETE')

def test_opens_on_the_index(tab, lab):
    _,address = lab
    tab.goto(address)
    tab.locator('.jp-RenderedMarkdown h1', has_text='ssl_fusion').wait_for()
    assert '/lab/tree/nbs/index.ipynb' in tab.url and not tab.missing_images() and not tab.asked

OFTEN = 'nbs/learn/02_losses.ipynb','nbs/tutorials/01_real_pairs.ipynb' # a room with figures, a tutorial
HARMLESS = re.compile('Could not restore the debugger state') # Lab asks the kernel for breakpoints while it restarts

@pytest.mark.parametrize('path', NOTEBOOKS)
def test_restart_and_run_all(tab, lab, path, request):
    if path not in OFTEN and not request.config.getoption('--every-notebook'): pytest.skip('run by: pytest tests/test_lab.py --every-notebook')
    folder,address = lab
    n = emptied(folder/path)
    tab.goto(address.replace('nbs/index.ipynb?', f'{path}?reset&'))
    idle,prompts = tab.locator('#jp-main-statusbar').get_by_text('| Idle'),tab.locator('.jp-CodeCell .jp-InputPrompt')
    idle.wait_for() # before that, Lab asks which kernel
    tab.get_by_role('menuitem', name='Kernel', exact=True).click()
    tab.get_by_role('menuitem', name='Restart Kernel and Run All Cells…').click()
    tab.locator('.jp-Dialog .jp-mod-accept').click()
    prompts.filter(has_text=re.compile(r'^\[1\]:')).wait_for()
    tab.wait_for_function("![...document.querySelectorAll('.jp-InputPrompt')].some(p => p.textContent=='[*]:')", timeout=600_000)
    idle.wait_for()
    shut_down(address)
    assert not tab.locator('[data-mime-type="application/vnd.jupyter.stderr"]').all_inner_texts() # errors and warnings
    assert prompts.all_inner_texts()==[f'[{k+1}]:' for k in range(n)]
    assert not tab.missing_images() and not tab.asked and not [s for s in tab.said if not HARMLESS.search(s)]
