"""Run library notebooks and tutorials exactly as `nbdev_test` does, and keep what their cells show.

    python tools/run_notebooks.py                        all of nbs/ and nbs/tutorials/, in reading order, saved in place
    python tools/run_notebooks.py nbs/learn/02_losses.ipynb    only this one
    python tools/run_notebooks.py --out FOLDER ...       saved into FOLDER, the originals stay as they are

Cells that nbdev_test skips (`#| eval: false` and the flags of settings.ini) keep the outputs they have. Outputs must be
the same on any machine: one thread, no data folder but what the notebook makes itself.
"""
import argparse, os, sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_all_start_methods, get_context, set_start_method
from pathlib import Path
import nbdev.test
from execnb.nbio import nb2dict, read_nb, write_nb
from execnb.shell import CaptureShell
from nbdev.clean import clean_nb
from nbdev.config import get_config

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT/'nbs'
WINGS = 'data','learn','use','paper'  # in the order in which they import each other
FOLDERS = *WINGS,'','tutorials'
KERNEL = dict(name='python3', display_name='python3', language='python')

class Recorder(CaptureShell):
    "The shell of nbdev_test, remembering what each cell shows."
    shown = {}
    def __init__(self, path): super().__init__(path, mpl_format='png')
    def cell(self, cell, **kwargs):
        cell.outputs = []
        super().cell(cell, **kwargs)
        self.shown[cell.id] = nb2dict(cell.outputs)

def clean(nb):
    "What `nbdev_clean` does to a notebook, in place."
    cfg = get_config(path=ROOT)
    clean_nb(nb, cfg.clear_all, cfg.allowed_metadata_keys.split(), cfg.allowed_cell_metadata_keys.split(), cfg.clean_ids)

def run(path, out):
    "Run one notebook and save it with its outputs; whether it passed."
    nbdev.test.CaptureShell = Recorder
    if 'fork' in get_all_start_methods(): set_start_method('fork', force=True)  # as under nbdev_test: workers know what the notebook defines
    skip = get_config(path=ROOT).tst_flags.split()
    passed,_ = nbdev.test.test_nb(path, skip_flags=skip, basepath=ROOT)
    if not passed: return False
    nb = read_nb(path)
    for cell in nb.cells: cell.update({'outputs': Recorder.shown[cell.id]} if cell.id in Recorder.shown else {})
    nb.metadata['kernelspec'] = KERNEL
    clean(nb)
    out.mkdir(parents=True, exist_ok=True)
    write_nb(nb, out/path.name)
    return True

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('notebooks', nargs='*', type=Path, help='default: every notebook in nbs/ and nbs/tutorials/')
    parser.add_argument('--out', type=Path, help='save here instead of in place')
    args = parser.parse_args()
    paths = [p.resolve() for p in args.notebooks] or [p for folder in FOLDERS for p in sorted((NBS/folder).glob('[!_.]*.ipynb'))]
    outs = [args.out or p.parent for p in paths]
    failed = []
    os.environ.update(OMP_NUM_THREADS='1', MKL_NUM_THREADS='1')
    os.environ.pop('SSL_FUSION_DATA', None)
    with ProcessPoolExecutor(1, mp_context=get_context('spawn'), max_tasks_per_child=1) as fresh:  # no state leaks into the next
        for path,passed in zip(paths, fresh.map(run, paths, outs)):
            print(('ok      ' if passed else 'FAILED  ')+path.name, flush=True)
            if not passed: failed.append(path.name)
    if failed: sys.exit(f'failed: {", ".join(failed)}')

if __name__=='__main__': main()
