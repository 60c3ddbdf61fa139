"""How fast an archive becomes a store, and how fast patches come out of it again.

    python tools/benchmark_store.py                            an archive that is simulated for it
    python tools/benchmark_store.py data/archives/bigearthnet-v2 --patches 1000 --workers 4 --out benchmark.json

Measured in turn, round after round, on the same patches and bands:

    bare     each GeoTIFF opened and read with rasterio, nothing else
    write    write_store, labels, index and checksums included
    store    batches of random patches out of the store
    lmdb     the same batches out of LMDB, a patch an entry of safetensors   (pip install lmdb)

Rates are patches a second, of the clock and of the processor's time (all workers together): on a machine that does other work the
second is the one to read. Readings start with files dropped from the page cache as far as the system lets go of them. Needs a folder
of GeoTIFFs.
"""
import argparse, contextlib, io, json, os, shutil, statistics, sys, tempfile, time
from dataclasses import replace
from pathlib import Path
import numpy as np, rasterio
from safetensors.numpy import load, save
from ssl_fusion.archives import band_file, open_archive
from ssl_fusion.sensors import SENSORS
from ssl_fusion.simulate import simulate
from ssl_fusion.store import Store, write_store

BATCH = 64
SENSORS_READ = [SENSORS['S1'], SENSORS['S2']]
SOURCES = {s.source: s.bands for s in SENSORS_READ}
GOALS = { # name -> (ratio of which rates, at least)
    'write / bare, processor': (('write', 'bare'), .9),
    'store / bare': (('store', 'bare'), 100.),
    'store / lmdb': (('store', 'lmdb'), 1.5)}

def forget(paths):
    "Drop files from the page cache, where the system can."
    for path in paths if hasattr(os, 'posix_fadvise') else ():
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)

def processor(): t = os.times(); return t.user+t.system+t.children_user+t.children_system

def rates(work, n):
    "Patches a second, of the clock and of the processor."
    clock,cpu = time.perf_counter(),processor()
    work()
    return n/max(time.perf_counter()-clock, 1e-9),n/max(processor()-cpu, 1e-9)

def files_of(archive):
    "All GeoTIFFs that are read, by patch."
    folder_of = archive.reader.args[0]
    return [str(band_file(folder_of(row, s), b)) for _,row in archive.index.iterrows() for s,bands in SOURCES.items() for b in bands]

def read_bare(files):
    for file in files:
        with rasterio.open(file) as f: f.read(1)

def write(archive, out, workers):
    shutil.rmtree(out, ignore_errors=True)
    with contextlib.redirect_stdout(io.StringIO()): write_store(archive, out, SOURCES, workers=workers)

def read_store(store, order):
    for i in range(0, len(order), BATCH): [store.raw(s, order[i:i+BATCH]) for s in SENSORS_READ]

def write_lmdb(store, out):
    try: import lmdb
    except ModuleNotFoundError: sys.exit('the comparison needs LMDB: pip install lmdb')
    env = lmdb.open(str(out), map_size=2*sum(a.nbytes for a in store.arrays.values())+2**24)
    with env.begin(write=True) as t:
        for i in range(len(store)): t.put(str(i).encode(), save({s: np.ascontiguousarray(a[i]) for s,a in store.arrays.items()}))
    return env

def read_lmdb(env, order):
    with env.begin(buffers=False) as t:
        for i in range(0, len(order), BATCH):
            found = [load(t.get(str(k).encode())) for k in order[i:i+BATCH]]
            [np.stack([f[s] for f in found]) for s in SOURCES]

def one_round(archive, files, folder, env, workers, order):
    "Each rate once: name -> (of the clock, of the processor)."
    store = Store(folder/'kept')
    maps,entries = [store.path/f'{s}.npy' for s in store.arrays],[Path(env.path())/'data.mdb']
    results = {}
    for name,n,work,touched in (('bare', len(archive), lambda: read_bare(files), files), ('write', len(archive), lambda: write(archive, folder/'again', workers), files),
                                ('store', len(order), lambda: read_store(store, order), maps), ('lmdb', len(order), lambda: read_lmdb(env, order), entries)):
        forget(touched)
        results[name] = rates(work, n)
    return results

def summary(rounds, workers):
    "Medians over the rounds, and whether the goals are met; ratios are taken within a round."
    middle = lambda values: round(statistics.median(values), 3)
    table = {name: dict(clock=middle(r[name][0] for r in rounds), processor=middle(r[name][1] for r in rounds)) for name in rounds[0]}
    ratio = {goal: middle(r[a][1]/r[b][1] for r in rounds) for goal,((a,b),_) in GOALS.items()}
    return dict(workers=workers, rates=table, goals={g: dict(found=ratio[g], wanted=least, met=ratio[g]>=least) for g,(_,least) in GOALS.items()})

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('archive', nargs='?', type=Path, help='folder of BigEarthNet v1 or v2; default: one is simulated')
    parser.add_argument('--patches', type=int, default=288, help='how many, evenly spread over the archive (default: %(default)s)')
    parser.add_argument('--workers', type=int, default=1, help='processes of write_store (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=3, help='default: %(default)s')
    parser.add_argument('--reads', type=int, default=4, help='how often each patch is read out of store and LMDB in a round (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=Path('runs/benchmark_store.json'), help='default: %(default)s')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        with contextlib.redirect_stdout(io.StringIO()): archive = open_archive(args.archive or simulate(folder/'archive', 2, (12,12), 120, seed=0))
        chosen = np.unique(np.linspace(0, len(archive)-1, min(args.patches, len(archive))).astype(int))
        archive = replace(archive, index=archive.index.iloc[chosen].reset_index(drop=True))
        files,order = files_of(archive),np.random.default_rng(0).permutation(np.tile(np.arange(len(archive)), args.reads))
        write(archive, folder/'kept', args.workers)
        env = write_lmdb(Store(folder/'kept'), folder/'lmdb')
        rounds = [one_round(archive, files, folder, env, args.workers, order) for _ in range(args.rounds)]
    found = dict(archive=archive.name, simulated=archive.simulated, patches=len(archive), bands=SOURCES, rounds=args.rounds, **summary(rounds, args.workers))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(found, indent=1)+'\n')
    print(f'{archive!r}\n{args.rounds} rounds, {args.workers} worker(s); patches a second, medians\n\n{"":8}{"clock":>12}{"processor":>12}')
    for name,r in found['rates'].items(): print(f'{name:8}{r["clock"]:12,.0f}{r["processor"]:12,.0f}')
    for name,g in found['goals'].items(): print(f'\n{name}: {g["found"]:.2f}, goal {g["wanted"]:g}: {"met" if g["met"] else "missed"}', end='')
    print()

if __name__=='__main__': main()
