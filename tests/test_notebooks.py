"Notebooks: they run, show what is committed, are clean, and are what the library was exported from."
import ast, base64, io, math, re, shutil, subprocess, sys
from itertools import zip_longest
from pathlib import Path
import numpy as np, pytest
from execnb.nbio import nb2str, read_nb
from nbdev.process import extract_directives
from PIL import Image
from run_notebooks import WINGS, clean

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT/'nbs'
ROOMS = [p for wing in WINGS for p in sorted((NBS/wing).glob('[!_.]*.ipynb'))]
LIBRARY = [*ROOMS, NBS/'index.ipynb']
TUTORIALS = sorted((NBS/'tutorials').glob('[!_.]*.ipynb'))
EXPERIMENTS = sorted((NBS/'experiments').glob('[!_.]*.ipynb'))
COMMITTED = LIBRARY+TUTORIALS+EXPERIMENTS+sorted((ROOT/'figures').rglob('*.ipynb'))

def each(notebooks): return pytest.mark.parametrize('path', notebooks, ids=lambda p: str(p.relative_to(ROOT)))
def code(path): return [c for c in read_nb(path).cells if c.cell_type=='code']
def room(path): return re.fullmatch(r'\d\d_(\w+)', path.stem)[1]
def module(path): return f'{path.parent.name}.{room(path)}'
def parsed(cell): return ast.parse(re.sub(r'^(\s*)[%!].*', r'\1pass', cell.source, flags=re.M))

# ---- what a notebook shows -------------------------------------------------------------------------------------------

NUMBER = re.compile(r'[-+]?\d+(?:\.\d*(?:e[-+]?\d+)?|e[-+]?\d+)')  # whole numbers are text: they must be equal

def same_text(a, b):
    "Equal but for the last digits of fractions, in which processors and library versions differ."
    if NUMBER.sub('#', a)!=NUMBER.sub('#', b): return False
    return all(math.isclose(float(x), float(y), rel_tol=1e-2, abs_tol=1e-4) for x,y in zip(NUMBER.findall(a), NUMBER.findall(b)))

def picture(data): return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert('RGB'), float)

def same_picture(a, b):
    "Equal in size, and in all but a few pixels."
    a,b = picture(a),picture(b)
    return a.shape==b.shape and (abs(a-b).max(axis=2)>32).mean()<.01

def alike(a, b, kind):
    "The same but for values: text with other numbers, a picture of the same size."
    return picture(a).shape==picture(b).shape if kind=='image/png' else re.sub(r'\d+(\.\d+)?', '#', a)==re.sub(r'\d+(\.\d+)?', '#', b)

def shows(cell):
    "What a cell shows: `(kind, content)`, one for each MIME type."
    for output in cell.outputs:
        if output.output_type=='stream': yield output.name, ''.join(output.text)
        else: yield from ((kind, ''.join(data)) for kind,data in sorted(output.data.items()))

def differences(committed, fresh):
    "The cells that show something else now, as readable text."
    for old,new in zip(code(committed), code(fresh), strict=True):
        for (kind,a),(kind_b,b) in zip_longest(shows(old), shows(new), fillvalue=('nothing', '')):
            same = same_picture if kind=='image/png' else same_text
            if kind==kind_b and (same(a, b) or 'trained' in old.metadata.get('tags', []) and alike(a, b, kind)): continue
            if 'image/' in kind+kind_b: a,b = kind,kind_b
            yield f'{old.source.strip()}\n--- committed\n{a}\n--- now\n{b}\n'

@each(LIBRARY+TUTORIALS)
def test_runs_and_shows_what_is_committed(path, tmp_path):
    "As nbdev_test runs it; `make notebooks` renews what is committed."
    run = subprocess.run([sys.executable, 'tools/run_notebooks.py', '--out', tmp_path, path], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode==0, run.stderr
    assert not (changed := list(differences(path, tmp_path/path.name))), '\n'.join(changed)

@pytest.mark.parametrize('a,b,same', [
    ('tensor([1.0000, 0.2500])', 'tensor([1.0000, 0.2501])', True),
    ('1.19e-07', '2.38e-07', True), ('0.25', '0.35', False), ('3 patches', '4 patches', False), ('0.25', '0.25 0.25', False)])
def test_same_text(a, b, same): assert same_text(a, b)==same

def test_same_picture():
    def png(x):
        with io.BytesIO() as f: Image.fromarray(x).save(f, 'png'); return base64.b64encode(f.getvalue())
    grey = np.full((20,30,3), 128, np.uint8)
    half = grey.copy(); half[:10] = 0
    assert same_picture(png(grey), png(grey+1))
    assert not same_picture(png(grey), png(half))
    assert not same_picture(png(grey), png(grey[1:]))
    assert alike(png(grey), png(half), 'image/png') and not alike(png(grey), png(grey[1:]), 'image/png')
    assert alike('0.21 of 3', '0.23 of 4', 'stdout') and not alike('0.21 of 3', '0.21', 'stdout')

# ---- how a notebook is kept ------------------------------------------------------------------------------------------

@each(COMMITTED)
def test_is_clean(path):
    nb = read_nb(path)
    clean(nb)
    assert path.read_text(encoding='utf-8')==nb2str(nb), 'run nbdev_clean'

@each(COMMITTED)
def test_names_its_kernel(path):
    assert read_nb(path).metadata.kernelspec.name=='python3', 'without it JupyterLab asks and papermill fails'

@each(COMMITTED)
def test_holds_no_error(path):
    assert not [c.source for c in code(path) for o in c.outputs if o.output_type=='error']

@each(LIBRARY+TUTORIALS)
def test_holds_no_warning(path):
    "They name lines and versions of one machine, and readers wonder."
    assert not [c.source for c in code(path) for o in c.outputs if o.get('name')=='stderr']

# ---- library notebooks -----------------------------------------------------------------------------------------------

def test_generated_code_is_current(tmp_path):
    "Exported from nothing, the library comes out as it is committed: no edit by hand, no module without a notebook."
    ignore = shutil.ignore_patterns('.ipynb_checkpoints')
    shutil.copy(ROOT/'settings.ini', tmp_path)
    shutil.copytree(NBS, tmp_path/'nbs', ignore=ignore)
    (tmp_path/'ssl_fusion').mkdir()
    # the console script: under `python -c` nbdev ignores its arguments
    run = subprocess.run([Path(sys.executable).with_name('nbdev_export')], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode==0, run.stderr
    fresh,committed = ({str(p.relative_to(d)): p.read_text() for p in (d/'ssl_fusion').rglob('*.py')} for d in (tmp_path, ROOT))
    assert sorted(fresh)==sorted(committed)
    assert not [name for name in fresh if fresh[name]!=committed[name]], 'run nbdev_export'

@each(ROOMS)
def test_opens_with_its_name_and_promise(path):
    title,first = read_nb(path).cells[:2]
    assert re.match(rf'# {room(path)}\n+> \S', title.source)
    assert first.source.strip()==f'#| default_exp {module(path)}'

@each(ROOMS)
def test_exported_cells_fit_on_a_screen(path):
    long = [c.source for c in code(path) if {'export','exporti','exports'} & extract_directives(c, remove=False).keys()
            and len(c.source.splitlines())>50] # the longest is a table of parameters
    assert not long, '\n\n'.join(long)

@each(ROOMS)
def test_imports_only_from_earlier_rooms(path):
    order = [module(p) for p in ROOMS]
    imported = {n.module.removeprefix('ssl_fusion.') for c in code(path) for n in ast.walk(parsed(c))
                if isinstance(n, ast.ImportFrom) and (n.module or '').startswith('ssl_fusion.')}
    assert imported <= set(order[:order.index(module(path))])

# ---- tutorials -------------------------------------------------------------------------------------------------------

@each(TUTORIALS)
def test_exports_nothing(path):
    "A tutorial uses the library as it is."
    assert not [d for c in code(path) for d in extract_directives(c, remove=False) if d.startswith(('export','default_exp'))]

# ---- experiment notebooks --------------------------------------------------------------------------------------------

@each(EXPERIMENTS)
def test_has_one_cell_of_parameters(path):
    "papermill writes a run's parameters after it; without it they are ignored in silence."
    assert sum('parameters' in c.metadata.get('tags', []) for c in read_nb(path).cells)==1

@each(EXPERIMENTS)
def test_defines_nothing(path):
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    assert not [n.name for c in code(path) for n in ast.walk(parsed(c)) if isinstance(n, definitions)], 'it belongs in the library'

@each(EXPERIMENTS)
def test_is_left_to_papermill(path):
    "nbdev neither runs nor tests it."
    assert '- skip_exec: true' in read_nb(path).cells[0].source
    assert path.with_name('.notest').exists()
