"""Copy executed notebooks beside their figures, without what tells one run from the next: times, counters, paths.

    python tools/keep_notebooks.py FOLDER NOTEBOOK...
"""
import sys
from pathlib import Path
from execnb.nbio import read_nb, write_nb
from run_notebooks import KERNEL, clean

def main(folder, *notebooks):
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    for path in map(Path, notebooks):
        nb = read_nb(path)
        nb.metadata.clear()
        nb.metadata['kernelspec'] = KERNEL
        for cell in nb.cells:
            if cell.cell_type=='code': cell.outputs = [o for o in cell.outputs if o.get('name')!='stderr']
        clean(nb)
        write_nb(nb, out/path.name)

if __name__=='__main__': main(*sys.argv[1:])
