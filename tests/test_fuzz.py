"""Ten thousand damaged files: every reader gives a right result or an error of ours that names the file.

Each reader has a small whole file, which is damaged in seeded ways. A result must keep what its reader promises (`vouch`);
an error must be raised by this package, be of a kind it raises, and name the file."""
import re, time, traceback
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Callable, NamedTuple
import numpy as np, pandas as pd, pytest
from PIL import Image
from rasterio.windows import Window
import ssl_fusion
from ssl_fusion.data import archives, files, geotiffs, rasters, scenes, splits, store, tile_labels
from ssl_fusion.data.sensors import SENSORS
from ssl_fusion.learn import encoders, fusion, records
from ssl_fusion.use import share

ROOT,LIBRARY = Path(__file__).resolve().parent.parent,str(Path(ssl_fusion.__file__).parent)
PATCH = 'S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP_26_57'
IDS = [f'{PATCH[:-5]}{c}_{r}' for c in range(3) for r in range(4)]
INDEX = pd.DataFrame(dict(patch_id=IDS))
CLASS = 'Arable land'

# What damages any file
ELSE = [b'', b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n', b'<!DOCTYPE html><html></html>', b'\x80\x04\x95K\x01.',
        bytes(300), b'PK\x03\x04'+bytes(60), b'PAR1'+bytes(40)+b'PAR1', b'II*\0\x08\0\0\0', b'{}', b'[]', b'null', b'a,b\n1,2\n', b'\xff\xd8\xff\xe0']

def damage(rng, b:bytes)->bytes:
    "A file with bytes turned, lost, doubled, put in, set to zero, cut off, or with the beginning of another."
    n,at = len(b),int(rng.integers(len(b)))
    length = int(rng.integers(1, max(2, min(n, 64))))
    kind = rng.integers(8)
    if kind==0: return bytes(ELSE[rng.integers(len(ELSE))])
    if kind==1: return b[:at]
    if kind==2: return b[:at]+b[at+length:]
    if kind==3: return b[:at+length]+b[at:]
    if kind==4: return b[:at]+rng.bytes(length)+b[at:]
    if kind==5: return b[:at]+bytes(length)+b[at+length:]
    if kind==6: return ELSE[rng.integers(1, len(ELSE))][:8]+b[8:]
    flipped = np.frombuffer(b, np.uint8).copy()
    near = n if rng.random()<.5 else min(n, 400) # Half of them in the head
    flipped[rng.integers(near, size=rng.integers(1, 9))] = rng.integers(256)
    return flipped.tobytes()

# What damages text
WORDS = ['NaN', 'null', '-1', '1e999', '9'*400, '""', '"', "'", '{', '}', '[', ']', ',', ':', ';', '\n', '\0', '\t', 'true', '[[]]', '{"a":1}',
         '[null]', '"\\ud800"', 'ä', '\ufeff', '0.5', '5e-05', 'labels', 'None', '1'+'0'*18]
CODES = 'utf-16', 'utf-8-sig', 'latin-1', 'utf-32', 'cp037'

def damage_text(rng, b:bytes)->bytes:
    "A text with tokens replaced, doubled, lost or exchanged, a column lost, or in another encoding."
    kind,text = rng.integers(6),b.decode()
    if kind==0: return damage(rng, b)
    if kind==1: return (text+'é').encode(CODES[rng.integers(len(CODES))], 'replace')
    if kind==2: return '\n'.join(l.partition(',')[2] for l in text.split('\n')).encode()
    parts = re.findall(r'"[^"]*"|[\w.+-]+|\s+|.', text)
    for _ in range(rng.integers(1, 4)):
        i,j = rng.integers(len(parts), size=2)
        if kind==3: parts[i] = WORDS[rng.integers(len(WORDS))]
        if kind==4: parts[i] = parts[j]
        if kind==5: parts[i:i+rng.integers(1, 6)] = []
        if not parts: return b''
    return ''.join(parts).encode('utf-8', 'surrogatepass')

# Whole files, each made in a folder of its own, and what is promised of what is read from them

class Case(NamedTuple):
    "A file, and who reads it."
    make:Callable # Folder -> file
    read:Callable # File -> result
    vouch:Callable # Result -> whether it is what the reader promises
    n:int # How often it is damaged

def named(name, write):
    "A file of a name in a folder."
    def make(folder):
        path = folder/name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
        return path
    return make

def scene(path): geotiffs.save_tif(path, geotiffs.paint_scene(0, 16, 16)[1], geotiffs.RGBN, (3e5,5e6))
def band(path): archives.write_bands(path.parent, dict(B04=np.arange(1, 65, dtype=np.uint16).reshape(8,8)))
def classes(path): geotiffs.save_tif(path, np.ones((1,16,16), np.uint8), ('class',), (3e5,5e6))
def picture(path): Image.fromarray(np.random.default_rng(0).integers(255, size=(64,64,3)).astype(np.uint8)).save(path)
def table(path, **more): pd.DataFrame(dict(patch_id=IDS, labels=[[CLASS]]*12, split='train', s1_name='', **more)).to_parquet(path)
def written(text): return lambda path: path.write_text(text, encoding='utf-8')
def logged(path): [files.append_log(path, step=i, loss=.5) for i in range(4)]
def recorded(path): records.save_record(records.Record(dataset='d', simulated=True, split='random', evaluated_on='test', source='S2', strategy='TL',
    initialisation='ssl', fraction=1., seed=0, n_train=9, metrics=dict(map=.5), intervals=dict(map=[.4,.6])), path.parent).rename(path)
def encoder(): return encoders.scratch_encoder(SENSORS['RGB'], [.1]*3, [.2]*3, 'test_convnext')
def weights(path): encoders.save_encoder(encoder(), path, np.arange(3, dtype=np.uint64), patch_size=16)
def model(path):
    weights(path)
    shared = share.share_encoder(path, 'random')
    share.save_model(shared.net, shared.facts, path)
def stored(path):
    folder = path.parent.parent/'rasters'
    folder.mkdir()
    scene(folder/'a_S2.tif')
    store.write_store(rasters.open_rasters(folder, scenes.Tiling(8)), path.parent, dict(S2=geotiffs.RGBN))

def windows_of(path):
    "A window of a scene, as files of a user come in."
    found = scenes.open_scene('a', dict(S2=path))
    return scenes.read_window(found, found.bands('S2'), Window(0, 0, 8, 8), scenes.Tiling(8))
def image(path):
    name = 'eurosat-rgb' if path.suffix=='.jpg' else 'eurosat-ms'
    edition,row = archives.EUROSAT[name],SimpleNamespace(labels=[path.parent.name], patch_id=path.stem)
    return archives.read_image(path.parent.parent, '', edition, row, edition.source, edition.bands)
def whole_store(path):
    found = store.Store(path.parent)
    return found,found.damaged()
def same_store(result): # Its files are whole, or the damage is noticed
    found,damaged = result
    return damaged or len(found)==4 and list(found.index.patch_id)==['a_0_0','a_1_0','a_0_1','a_1_1']
def classified(path):
    return tile_labels.warp_classes(path, scenes.open_grid('a', dict(S2=path.parent/'a_S2.tif')))
def class_map(path):
    scene(path.parent/'a_S2.tif')
    classes(path)
def grid(path): geotiffs.save_tif(path, np.ones((13,64,64), np.uint16), ('',)*13, (3e5,5e6))

CSV = 'patch_id,labels,split\n'+''.join(f'{i},{CLASS}; Pastures,train\n' for i in IDS)
V1 = '{"labels": ["Pastures", "Sea and ocean"], "coordinates": {"ulx": 1}, "projection": "x"}'
V1_NAME = f'{PATCH}/{PATCH}_labels_metadata.json'
is_frame = lambda r: isinstance(r, pd.DataFrame)
has_ids = lambda t: t.patch_id.is_unique and all(isinstance(i, str) and i for i in t.patch_id)
has_labels = lambda t: has_ids(t) and all(isinstance(l, list) and all(isinstance(n, str) and n for n in l) for l in t.labels)
is_image = lambda shape,dtype: lambda x: x.shape==shape and x.dtype==dtype
is_window = lambda r: r[0].shape==r[1].shape and r[0].shape[1:]==(8,8) and r[0].dtype==np.uint16
is_encoder = lambda e: e.sensor.channels==len(e.mean)==len(e.std)

CASES = {
    'TIFF band': Case(named('p/p_B04.tif', band), lambda p: archives.read_band(p.parent, 'B04', 8), is_image((8,8), 'uint16'), 1500),
    'TIFF scene': Case(named('a_S2.tif', scene), windows_of, is_window, 1200),
    'TIFF rasters': Case(named('a_S2.tif', scene), lambda p: rasters.open_rasters(p.parent, scenes.Tiling(8)), lambda a: has_ids(a.index), 200),
    'TIFF classes': Case(named('c.tif', class_map), classified, is_image((16,16), 'float64'), 300),
    'TIFF image': Case(named('River/River_1.tif', grid), image, is_image((13-1,64,64), 'uint16'), 200),
    'JPEG image': Case(named('River/River_1.jpg', picture), image, is_image((3,64,64), 'uint8'), 300),
    'parquet v2': Case(named('metadata.parquet', table), lambda p: archives.v2_index(p.parent), is_frame, 700),
    'parquet labels': Case(named('l.parquet', table), tile_labels.read_labels, has_labels, 500),
    'parquet split': Case(named('s.parquet', lambda p: splits.save_split(p, INDEX, pd.Series(['train']*12))),
                          lambda p: splits.load_split(p, INDEX), lambda s: len(s)==12, 500),
    'parquet fractions': Case(named('f.parquet', lambda p: splits.save_fractions(p, INDEX, {50.: np.arange(6), 100.: np.arange(12)})),
                              lambda p: splits.load_fractions(p, INDEX), lambda f: all(0<k<=100 for k in f), 500),
    'parquet store': Case(named('store/index.parquet', stored), whole_store, lambda r: not r[1] and same_store(r), 200),
    'npy store': Case(named('store/S2.npy', stored), whole_store, same_store, 100),
    'CSV labels': Case(named('l.csv', written(CSV)), tile_labels.read_labels, has_labels, 1000),
    'CSV points': Case(named('points.csv', written('x,y,label\n300000,5000000,water\n300020,5000020,land\n')),
                       lambda p: tile_labels.read_geometries(p, 'points'), lambda g: np.isfinite(g.geometry.bounds).all(None), 600),
    'CSV variants': Case(named('v.csv', written((ROOT/'data/talk/variants.csv').read_text(encoding='utf-8'))), fusion.load_variants,
                         lambda t: list(t)==fusion.VARIANT and all(0<=v<=100 for c in ('map_10','map_100') for v in t[c].dropna()), 600),
    'JSON record': Case(named('r.json', recorded), records.load_record, lambda r: isinstance(r, records.Record), 700),
    'JSON v1': Case(named(V1_NAME, written(V1)), lambda p: archives.v1_metadata(p.parent), lambda m: isinstance(m['labels_19'], list), 600),
    'JSON store': Case(named('store/store.json', stored), lambda p: store.Store(p.parent), lambda s: len(s)==4==len(s.arrays['S2']), 300),
    'JSON log': Case(named('l.jsonl', logged), files.read_log, lambda l: all(isinstance(d, dict) for d in l), 500),
    'JSON any': Case(named('n.json', written('{"grid": [6, 6], "size": 64}')), files.read_json, lambda _: True, 400),
    'safetensors meta': Case(named('e.safetensors', weights), encoders.encoder_meta, lambda m: isinstance(m, dict), 300),
    'safetensors seen': Case(named('e.safetensors', weights), encoders.seen_patches, lambda s: s is None or s.dtype==np.uint64, 200),
    'safetensors encoder': Case(named('e.safetensors', weights), encoders.load_encoder, is_encoder, 250),
    'safetensors facts': Case(named('m.safetensors', model), share.load_facts, lambda f: isinstance(f, share.Facts), 250),
    'safetensors model': Case(named('m.safetensors', model), share.load_model, lambda m: is_encoder(share.encoders_of(m[0])[0]), 150)}
OURS = ValueError,KeyError,OSError,FileNotFoundError

def is_ours(e:Exception, path:Path)->bool:
    "Whether an error is of a kind that this package raises, was raised by it, and names the file."
    kind = type(e) in OURS or type(e).__module__.startswith('ssl_fusion')
    names = [path.name, f'{path.stem.split("_")[0]}_*'] # A scene, where several files make one
    names += [f'{path.parent.name}/{f}' for f in ('labels.npy','index.parquet','S2.npy') if path.name=='store.json'] # Of which it says other things
    return kind and traceback.extract_tb(e.__traceback__)[-1].filename.startswith(LIBRARY) and any(n in str(e) for n in names)

def outcome(case, path)->str:
    "'right', 'ours', or what went wrong."
    started = time.perf_counter()
    try: end = 'right' if case.vouch(case.read(path)) else 'a wrong result'
    except Exception as e: end = 'ours' if is_ours(e, path) else f'{type(e).__module__}.{type(e).__name__}: {str(e)[:200]!r}'
    return end if time.perf_counter()-started<60 else 'more than a minute'

def test_there_are_ten_thousand(): assert sum(c.n for c in CASES.values())>=10_000

@pytest.mark.filterwarnings('ignore')
@pytest.mark.xdist_group('fuzz')
@pytest.mark.parametrize('name', CASES)
def test_damaged(name, tmp_path, capfd):
    case,rng = CASES[name],np.random.default_rng(list(name.encode()))
    path = case.make(tmp_path)
    whole,change = path.read_bytes(),damage_text if name[:4] in ('CSV ','JSON') else damage
    assert outcome(case, path)=='right'
    ends,wrong = Counter(),{}
    for i in range(case.n):
        path.unlink() # Memory maps of earlier rounds keep their file
        path.write_bytes(change(rng, whole))
        ends[end := outcome(case, path)] += 1
        if end not in ('right','ours'): wrong.setdefault(end, (i, path.read_bytes()[:80]))
    capfd.readouterr()
    with capfd.disabled(): print(f'{name}: {ends["right"]:,} right, {ends["ours"]:,} refused', flush=True)
    assert not wrong, f'{len(wrong)} kinds: '+'\n'.join(f'{ends[w]} x {w} {at}' for w,at in list(wrong.items())[:12])
