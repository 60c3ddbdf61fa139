"settings.ini is the one list of what the project is and needs; everything else agrees with it."
import ast, importlib.metadata as metadata, re, shutil, subprocess, sys, tarfile, zipfile
from configparser import ConfigParser
from pathlib import Path
import pytest, yaml
from execnb.nbio import read_nb
from packaging.requirements import Requirement
import ssl_fusion

ROOT = Path(__file__).resolve().parent.parent
ini = ConfigParser(delimiters=['='])
ini.read(ROOT/'settings.ini', encoding='utf-8')
CFG = ini['DEFAULT']
NEEDED,DEV,DOCS,OPTIONAL = ([Requirement(r) for r in CFG[f'{k}requirements'].split()] for k in ('', 'dev_', 'docs_', 'optional_'))
DEV += DOCS # one extra: the tests build the site

@pytest.mark.parametrize('requirement', NEEDED+DEV, ids=str)
def test_is_installed(requirement): assert metadata.version(requirement.name) in requirement.specifier

def test_python(): assert sys.version_info[:2] >= tuple(map(int, CFG['min_python'].split('.')))

def test_installed_metadata():
    "Of the installed project: edit settings.ini, install again."
    got = [Requirement(r) for r in metadata.requires(CFG['lib_name'])]
    assert {(r.name, r.specifier) for r in got}=={(r.name, r.specifier) for r in NEEDED+DEV+OPTIONAL}
    assert {r.name for r in got if r.marker}=={r.name for r in DEV+OPTIONAL}
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
    assert {'torch','torchvision','jupyterlab','papermill','rasterio','matplotlib','seaborn','nbdev'} <= {r.name for r in NEEDED}

# ---- the package -----------------------------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def built(tmp_path_factory):
    "The source distribution, and the wheel built from it: the names of the files inside."
    source,dist = tmp_path_factory.mktemp('source'),tmp_path_factory.mktemp('dist')
    for name in ('settings.ini','setup.py','pyproject.toml','MANIFEST.in','README.md','LICENSE','CITATION.cff'): shutil.copy(ROOT/name, source)
    shutil.copytree(ROOT/'ssl_fusion', source/'ssl_fusion')
    run = subprocess.run([sys.executable,'-m','build','--no-isolation','--outdir',dist,source], capture_output=True, text=True)
    assert run.returncode==0, run.stdout+run.stderr
    sdist,wheel = next(dist.glob('*.tar.gz')),next(dist.glob('*.whl'))
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
    missing = undeclared([p.read_text() for p in (ROOT/'ssl_fusion').rglob('*.py')], NEEDED+OPTIONAL)
    assert not missing

def test_notebooks_and_tests_import_what_is_declared():
    notebooks = [p for p in (ROOT/'nbs').rglob('[!_.]*.ipynb') if '.ipynb_checkpoints' not in p.parts]
    scripts = [p for d in ('tools','tests') for p in (ROOT/d).glob('*.py')]
    cells = [c.source for p in notebooks for c in read_nb(p).cells if c.cell_type=='code']
    missing = undeclared(cells+[p.read_text() for p in scripts], NEEDED+DEV+OPTIONAL)-{p.stem for p in scripts}
    assert not missing
