"""How fast an archive becomes a store, and how fast patches come out of it again.

    python tools/benchmark_store.py --keep                             the table of data/13_store: v1 and v2, two selections of bands, one and all workers
    python tools/benchmark_store.py --layouts v2 --workers 4 --rounds 3

The archives are the six genuine pairs of bigearthnet-common, copied under other names in the layout of version 1 or 2. In every round each
of these is measured once, on the same patches and bands, in an order that turns round from one round to the next:

    bare      each GeoTIFF opened and read with rasterio, nothing else; one process
    reader    each GeoTIFF read by read_tif, nothing else; one process
    write     write_store, with labels, index and checksums
    store     batches of random patches out of the store
    lmdb      the same batches out of LMDB, a patch an entry of safetensors   (pip install lmdb)
    ... cold  the same from the disk: opened anew, and dropped from the page cache before

Rates are patches a second: of the clock, and of the processor's time (all processes together, so: per core). Ratios are taken within a
round, of the processor's time; shown are their median, least and greatest. On a machine that does other work they are what to read.
"""
import argparse, contextlib, io, os, resource, shutil, sys, tempfile, time
from pathlib import Path
import numpy as np, pandas as pd, rasterio
from safetensors.numpy import load, save
from ssl_fusion.data.archives import band_file, example_pairs, open_archive, open_bigearthnet_v1, read_tif, quick_reading, v1_folder
from ssl_fusion.data.sensors import SENSORS
from ssl_fusion.data.store import Store, write_store

FACTS = Path(__file__).resolve().parent.parent/'ssl_fusion/facts'
BATCH = 64
BANDS = {'S1 and RGB': [SENSORS['S1'],SENSORS['S2']], 'all fourteen': [SENSORS['S1'],SENSORS['S2-all']]}
GOALS = {('write','bare'): .9, ('write','reader'): None, ('store','bare'): 100, ('store','lmdb'): 1.5, ('store cold','bare cold'): None, ('store cold','lmdb cold'): None}

def copies(folder, layout, n):
    "The six genuine pairs, over and over, as an archive of `n` pairs."
    pairs,table = open_bigearthnet_v1(example_pairs(folder/'six')),[]
    scenes = dict(S2='S2A_MSIL2A_20170613T101031', S1='S1A_IW_GRDH_1SDV_20170613T165043') | (dict(S2='S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP') if layout=='v2' else {})
    for k in range(n):
        row,place = pairs.index.iloc[k%6],f'{k//100}_{k%100}'
        names = dict(S2=f'{scenes["S2"]}_{place}', S1=f'{scenes["S1"]}_33UUP_{place}')
        for s,name in names.items():
            old = v1_folder(pairs.root, row, s)
            new = folder/layout/(f'BigEarthNet-{s}/{scenes[s]}' if layout=='v2' else dict(S1='BigEarthNet-S1-v1.0', S2='BigEarthNet-v1.0')[s])/name
            new.mkdir(parents=True)
            for b in pairs.sources[s]: shutil.copyfile(band_file(old, b), band_file(new, b))
            said = old/f'{old.name}_labels_metadata.json'
            if layout=='v1': (new/f'{name}_labels_metadata.json').write_text(said.read_text().replace(row.patch_id, names['S2']))
        table.append(dict(patch_id=names['S2'], s1_name=names['S1'], labels=row.labels, split='train', country=row.country, s2v1_name='', contains_seasonal_snow=False, contains_cloud_or_shadow=False))
    if layout=='v2': pd.DataFrame(table).to_parquet(folder/layout/'metadata.parquet')
    return open_archive(folder/layout)

def forget(paths):
    "Drop files from the page cache, where the system can."
    for path in paths if hasattr(os, 'posix_fadvise') else ():
        with open(path, 'rb') as f: os.fsync(f); os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

def processor():
    "Seconds of the processor's time, those of ended child processes included."
    return sum(r.ru_utime+r.ru_stime for r in (resource.getrusage(resource.RUSAGE_SELF),resource.getrusage(resource.RUSAGE_CHILDREN)))

def rate(work, n):
    "Patches a second, of the clock and of the processor."
    clock,cpu = time.perf_counter(),processor()
    work()
    return n/(time.perf_counter()-clock),n/(processor()-cpu)

def read_bare(files):
    for file in files:
        with rasterio.open(file) as f: f.read(1)

def read_lean(files):
    with quick_reading(): [read_tif(f) for f in files]

def write(archive, out, sources, workers):
    shutil.rmtree(out, ignore_errors=True)
    with contextlib.redirect_stdout(io.StringIO()): return write_store(archive, out, sources, workers=workers)

def read_store(store, sensors, order):
    for i in range(0, len(order), BATCH): [store.raw(s, order[i:i+BATCH]) for s in sensors]

def open_lmdb(folder):
    try: import lmdb
    except ModuleNotFoundError: sys.exit('the comparison needs LMDB: pip install lmdb')
    return lmdb.open(str(folder), map_size=2**33)

def write_lmdb(store, folder):
    env = open_lmdb(folder)
    with env.begin(write=True) as t:
        for i in range(len(store)): t.put(str(i).encode(), save({s: np.ascontiguousarray(a[i]) for s,a in store.arrays.items()}))
    env.close()

def read_lmdb(env, sensors, order):
    with env.begin() as t:
        for i in range(0, len(order), BATCH):
            found = [load(t.get(str(k).encode())) for k in order[i:i+BATCH]]
            [np.stack([f[s.source] for f in found]) for s in sensors]

def read_lmdb_anew(folder, sensors, order):
    env = open_lmdb(folder)
    read_lmdb(env, sensors, order)
    env.close()

def measure(archive, sensors, workers, rounds, reads, folder):
    "A list of rounds, each a dict: what -> (patches a second of the clock, of the processor)."
    sources,n,g = {s.source: s.bands for s in sensors},len(archive),np.random.default_rng(0)
    files = [str(band_file(archive.reader.args[0](row, s), b)) for row in archive.index.itertuples() for s,bands in sources.items() for b in bands]
    store = write(archive, folder/'kept', sources, workers)
    write_lmdb(store, folder/'lmdb')
    maps,once,often = [folder/f'kept/{s}.npy' for s in sources],g.permutation(n),g.permutation(np.tile(np.arange(n), reads))
    for f in (*maps, folder/'lmdb/data.mdb'): os.sync()
    cold = {'bare cold': (lambda: read_bare(files), files), 'store cold': (lambda: read_store(Store(folder/'kept'), sensors, once), maps),
            'lmdb cold': (lambda: read_lmdb_anew(folder/'lmdb', sensors, once), [folder/'lmdb/data.mdb'])}
    def hot():
        store,env = Store(folder/'kept'),open_lmdb(folder/'lmdb')
        work = {'bare': (lambda: read_bare(files), n), 'reader': (lambda: read_lean(files), n), 'write': (lambda: write(archive, folder/'again', sources, workers), n),
                'store': (lambda: read_store(store, sensors, often), n*reads), 'lmdb': (lambda: read_lmdb(env, sensors, often), n*reads)}
        read_bare(files); read_store(store, sensors, once); read_lmdb(env, sensors, once) # Everything into the page cache
        found = {k: rate(*work[k]) for k in (work if len(results)%2 else reversed(work))}
        env.close()
        return found
    results = []
    while len(results)<rounds:
        found = hot()
        for name,(work,touched) in (cold if len(results)%2 else dict(reversed(cold.items()))).items():
            forget(touched)
            found[name] = rate(work, n)
        results.append(found)
    return results

def tables(results, **case):
    "Rates, and ratios with their goals, as two lists of rows."
    middle = lambda what,i: round(float(np.median([r[what][i] for r in results])), 1)
    rates = [case|dict(what=k, clock=middle(k, 0), processor=middle(k, 1)) for k in sorted(results[0])]
    ratios = []
    for (a,b),goal in GOALS.items():
        cpu,wall = ([r[a][i]/r[b][i] for r in results] for i in (1,0))
        ratios.append(case|dict(ratio=f'{a} / {b}', median=np.median(cpu).round(2), least=round(min(cpu), 2), greatest=round(max(cpu), 2), of_the_clock=np.median(wall).round(2), goal=goal))
    return rates,ratios

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--layouts', nargs='+', default=['v1','v2'], choices=['v1','v2'], help='default: both')
    parser.add_argument('--bands', nargs='+', default=list(BANDS), choices=list(BANDS), help='default: both selections')
    parser.add_argument('--workers', nargs='+', type=int, default=sorted({1,os.cpu_count()}), help='processes of write_store (default: one, and as many as there are cores)')
    parser.add_argument('--patches', type=int, default=288, help='in the archive (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=9, help='default: %(default)s')
    parser.add_argument('--reads', type=int, default=20, help='how often a patch is read out of store and LMDB in a round (default: %(default)s)')
    parser.add_argument('--keep', action='store_true', help='write the tables to ssl_fusion/facts, where data/13_store shows them')
    args = parser.parse_args()
    rates,ratios = [],[]
    for layout in args.layouts:
        with tempfile.TemporaryDirectory() as folder:
            archive = copies(Path(folder), layout, args.patches)
            for bands,workers in [(b,w) for b in args.bands for w in args.workers]:
                with tempfile.TemporaryDirectory(dir=folder) as stores: found = measure(archive, BANDS[bands], workers, args.rounds, args.reads, Path(stores))
                for table,rows in zip((rates,ratios), tables(found, layout=layout, bands=bands, workers=workers)): table += rows
    for name,table in dict(store_rates=rates, store_ratios=ratios).items():
        print(pd.DataFrame(table).to_string(index=False), end='\n\n')
        if args.keep: pd.DataFrame(table).to_csv(FACTS/f'{name}.csv', index=False)

if __name__=='__main__': main()
