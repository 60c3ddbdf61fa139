"settings.ini is the one list of what the project is and needs; everything else agrees with it."
import ast, importlib.metadata as metadata, os, re, shutil, subprocess, sys, tarfile, zipfile
from configparser import ConfigParser
from pathlib import Path
import pytest, yaml
from execnb.nbio import read_nb
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
import ssl_fusion

ROOT = Path(__file__).resolve().parent.parent
ini = ConfigParser(delimiters=['='])
ini.read(ROOT/'settings.ini', encoding='utf-8')
CFG = ini['DEFAULT']
KINDS = '', 'paper_', 'dev_', 'docs_', 'optional_'
NEEDED,PAPER,DEV,DOCS,OPTIONAL = ([Requirement(r) for r in CFG[f'{k}requirements'].split()] for k in KINDS)
DEV += PAPER+DOCS # one extra: the tests run the paper and build the site

@pytest.mark.parametrize('requirement', NEEDED+DEV, ids=str)
def test_is_installed(requirement): assert metadata.version(requirement.name) in requirement.specifier

def test_python(): assert sys.version_info[:2] >= tuple(map(int, CFG['min_python'].split('.')))

def test_installed_metadata():
    "Of the installed project: edit settings.ini, install again."
    got = [Requirement(r) for r in metadata.requires(CFG['lib_name'])]
    assert {(r.name, r.specifier) for r in got}=={(r.name, r.specifier) for r in NEEDED+DEV+OPTIONAL}
    assert {r.name for r in got if r.marker}=={r.name for r in DEV+OPTIONAL} # which holds those of PAPER
    assert metadata.version(CFG['lib_name'])==ssl_fusion.__version__==CFG['version']

def test_conda_environment():
    env = yaml.safe_load((ROOT/'environment.yml').read_text())
    assert env['name']==CFG['lib_name']
    assert env['dependencies']==[f'python={CFG["min_python"]}', 'pip', {'pip': ['-e .[dev]']}]

def test_citation():
    cff = yaml.safe_load((ROOT/'CITATION.cff').read_text())
    assert (cff['title'], cff['version'], cff['repository-code'])==(CFG['title'], CFG['version'], CFG['git_url'])
    cited = ' '.join(r['title'] for r in cff['references'])
    assert all(w in cited for w in ('Unsupervised Learning for Data Fusion', 'Barlow Twins', 'BigEarthNet-MM', 'reBEN', 'EuroSAT'))

def test_what_the_talk_was_made_with():
    assert {'torch','torchvision','jupyterlab','papermill','rasterio','matplotlib','seaborn','nbdev'} <= {r.name for r in NEEDED+PAPER}

# ---- the package -----------------------------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def distributions(tmp_path_factory):
    "The source distribution, and the wheel built from it."
    source,dist = tmp_path_factory.mktemp('source'),tmp_path_factory.mktemp('dist')
    for name in ('settings.ini','setup.py','pyproject.toml','MANIFEST.in','README.md','LICENSE','CITATION.cff'): shutil.copy(ROOT/name, source)
    shutil.copytree(ROOT/'ssl_fusion', source/'ssl_fusion')
    run = subprocess.run([sys.executable,'-m','build','--no-isolation','--outdir',dist,source], capture_output=True, text=True)
    assert run.returncode==0, run.stdout+run.stderr
    return next(dist.glob('*.tar.gz')),next(dist.glob('*.whl'))

@pytest.fixture(scope='module')
def wheel(distributions): return distributions[1]

@pytest.fixture(scope='module')
def built(distributions):
    "The names of the files inside."
    sdist,wheel = distributions
    return {n.split('/', 1)[-1] for n in tarfile.open(sdist).getnames()}, set(zipfile.ZipFile(wheel).namelist())

def test_package_is_whole(built):
    modules,facts = ({str(p.relative_to(ROOT)) for p in (ROOT/'ssl_fusion').glob(g)} for g in ('**/*.py', 'facts/*.csv'))
    assert modules and facts
    for files in built: assert modules|facts <= files
    assert {'settings.ini','LICENSE','CITATION.cff'} <= built[0]

# ---- imports ---------------------------------------------------------------------------------------------------------

def imported(source):
    "Top-level names of what Python source imports from elsewhere."
    nodes = list(ast.walk(ast.parse(re.sub(r'^(\s*)[%!].*', r'\1pass', source, flags=re.M))))
    names = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.level==0}
    return {n.split('.')[0] for n in names}-set(sys.stdlib_module_names)-{'ssl_fusion'}

def undeclared(sources, requirements):
    "Imported packages that no requirement names."
    installs = metadata.packages_distributions()
    names = {r.name.lower().replace('_', '-') for r in requirements}
    return {m for s in sources for m in imported(s) if not names & {d.lower().replace('_', '-') for d in installs.get(m, [m])}} # what is not installed goes by its own name

def test_library_imports_what_it_declares():
    "The three wings for everyone need no extra; `paper` has one of its own."
    paper,library = ([p.read_text() for p in (ROOT/'ssl_fusion').rglob('*.py') if (p.parent.name=='paper')==own] for own in (True,False))
    assert not undeclared(library, NEEDED+OPTIONAL)
    assert not undeclared(paper, NEEDED+PAPER)

# ---- the library alone -----------------------------------------------------------------------------------------------

def required(names, known):
    "All distributions that these need, themselves included, without extras."
    for name in names:
        if (key := canonicalize_name(name)) in known: continue
        known.add(key)
        try: needs = [Requirement(r) for r in metadata.requires(name) or ()]
        except metadata.PackageNotFoundError: continue # For another platform
        required([r.name for r in needs if r.marker is None or r.marker.evaluate(dict(extra=''))], known)
    return known

ONLY = '''
import sys
class Without:
    "What the wheel does not ask for is not found."
    def __init__(self, finder): self.finder = finder
    def __getattr__(self, name): return getattr(self.finder, name)
    def find_spec(self, name, *where): return None if name.split('.')[0] in ABSENT else self.finder.find_spec(name, *where)
sys.meta_path[:] = map(Without, sys.meta_path)
'''

USE = '''
import numpy as np, tempfile
from pathlib import Path
import ssl_fusion.learn.losses
heavy = {'rasterio','pandas','IPython'} & {*sys.modules}
assert not heavy, f'losses loads {heavy}'
from ssl_fusion.data.rasters import open_rasters
from ssl_fusion.data.scenes import Tiling, open_scene, paint_scenes, raster_files
from ssl_fusion.data.sensors import SENSORS
from ssl_fusion.data.store import write_store
from ssl_fusion.learn.augment import views_for
from ssl_fusion.learn.downstream import embed, fit_probe, start_from
from ssl_fusion.learn.encoders import load_encoder
from ssl_fusion.learn.fusion import Classifier, Concat
from ssl_fusion.learn.pretrain import Recipe, pretrain
from ssl_fusion.use.maps import class_probabilities, write_map
import ssl_fusion.use.share
root = Path(tempfile.mkdtemp())
paint_scenes(root)
archive = open_rasters(root, Tiling(32), name='painted')
store,s2 = write_store(archive, root/'store', {'S2': ('B04','B03','B02')}),SENSORS['S2']
recipe = Recipe(epochs=1, batch_size=16, warmup_epochs=0, projector=(8,8))
encoder = load_encoder(pretrain(store, s2, np.arange(len(store)), root/'encoder', views_for(s2, 16), recipe))
z = embed(encoder, store, np.arange(8))
y = np.eye(2, dtype=np.uint8)[np.arange(8)%2]
model = start_from(Classifier(Concat({'S2': encoder}), 2), fit_probe(z, y, 'multiclass', 1.)).eval()
scene = open_scene('plain', raster_files(root)['plain'])
p = class_probabilities(model, scene, [s2], Tiling(32), 'multiclass')
print([f.name for f in write_map(root/'map.tif', p, ('field','water'), scene, 32)])
'''

def test_the_wheel_alone_pretrains_probes_and_maps(wheel, tmp_path):
    "In an environment that has what the wheel requires, and nothing else."
    subprocess.run([sys.executable,'-m','pip','install','--quiet','--no-deps','--target',tmp_path/'site',wheel], check=True)
    has = required([r.name for r in NEEDED], {CFG['lib_name'].replace('_', '-')})
    absent = {m for m,dists in metadata.packages_distributions().items() if not {canonicalize_name(d) for d in dists} & has}
    (tmp_path/'use.py').write_text(f'ABSENT = {sorted(absent)}\n{ONLY}sys.path.insert(0, {str(tmp_path/"site")!r})\n{USE}')
    run = subprocess.run([sys.executable,'use.py'], cwd=tmp_path, capture_output=True, text=True, env=os.environ|dict(PYTHONPATH=''))
    assert run.returncode==0 and "['map.tif', 'map_class.tif']" in run.stdout, run.stderr
    assert {'seaborn','papermill','IPython','nbdev'} <= absent

def test_notebooks_and_tests_import_what_is_declared():
    notebooks = [p for p in (ROOT/'nbs').rglob('[!_.]*.ipynb') if '.ipynb_checkpoints' not in p.parts]
    scripts = [p for d in ('tools','tests') for p in (ROOT/d).glob('*.py')]
    cells = [c.source for p in notebooks for c in read_nb(p).cells if c.cell_type=='code']
    missing = undeclared(cells+[p.read_text() for p in scripts], NEEDED+DEV+OPTIONAL)-{p.stem for p in scripts}
    assert not missing
