"What a reader of the repository relies on: a README that is current, links that lead somewhere, commands that exist."
import ast, re, subprocess, sys
from pathlib import Path
import pytest
from readme import README, from_root, readme

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = 'nbs ssl_fusion tests tools profiles docs data/talk figures .ci .github'.split()
BINARY = {'.png', '.pyc'}

def texts():
    "Every text file of the repository."
    top = [p for p in ROOT.iterdir() if p.is_file()]
    return [p for p in top+[p for d in FOLDERS for p in (ROOT/d).rglob('*') if p.is_file()]
            if p.suffix not in BINARY and '.ipynb_checkpoints' not in p.parts]

def test_no_path_of_a_machine():
    own = re.compile(r'(?<![\w.-])/(?:home|root|work|tmp|Users|mnt)/\w+')
    found = [f'{p.relative_to(ROOT)}: {m[0]}' for p in texts() for m in own.finditer(p.read_text(encoding='utf-8', errors='replace'))]
    assert not found, '\n'.join(found)

# ---- README ----------------------------------------------------------------------------------------------------------

def test_readme_is_current(): assert README.read_text(encoding='utf-8')==readme(), 'run make readme'

def test_readme_links_start_at_the_root():
    assert from_root('![a](../figures/a.png) [b](00_b.ipynb) [c](https://d.e/f) [g](#h)')=='![a](figures/a.png) [b](nbs/00_b.ipynb) [c](https://d.e/f) [g](#h)'

@pytest.mark.parametrize('name', ['README.md','CONTRIBUTING.md'])
def test_links_lead_somewhere(name):
    links = re.findall(r'\]\((?!\w+:|#)([^)\s#]+)', (ROOT/name).read_text(encoding='utf-8'))
    assert not [link for link in links if not (ROOT/link).exists()]

@pytest.mark.parametrize('name', ['README.md','CONTRIBUTING.md'])
def test_rooms_are_those_there_are(name):
    rooms = sorted(p.stem for p in (ROOT/'nbs').glob('[0-9]*.ipynb'))
    assert re.findall(r'^\| [`[](\d\d[a-z]?_\w+)', (ROOT/name).read_text(encoding='utf-8'), re.M)==rooms

@pytest.mark.parametrize('name', ['README.md','CONTRIBUTING.md'])
def test_commands_exist(name):
    targets = set(re.findall(r'^([a-z]+):', (ROOT/'Makefile').read_text(), re.M))
    text = (ROOT/name).read_text(encoding='utf-8')
    said = set(re.findall(r'(?:`|^)make ([a-z]+)', text, re.M))
    assert said and said <= targets
    assert not [nb for nb in re.findall(r'papermill (\S+\.ipynb)', text) if not (ROOT/nb).exists()]

# ---- writing ---------------------------------------------------------------------------------------------------------

WRITERS = set('to_parquet to_csv save savez save_file write_text write_bytes savefig write_array replace rename'.split())
OWNERS = {'os','shutil','np','torch','tmp','path','part'} # Of `save`, `replace` and `rename`, which strings and tables have, too
ALONE = { # What is filled step by step and resumed, by one process at a time (`files.only_writer`)
    'store': {'finish'}, 'download': {'begin_part','fetch','unpack','get'}}

def unsafe_writes(code):
    "Functions that write under a name that another process may write under, too: outside `replacing`."
    def visit(node, inside, function):
        if isinstance(node, ast.FunctionDef): function = node.name
        if isinstance(node, ast.With): inside |= any('replacing(' in ast.unparse(i.context_expr) for i in node.items)
        call = node.func if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None
        if call and call.attr in WRITERS and not inside:
            if call.attr not in ('replace','rename','save') or ast.unparse(call.value) in OWNERS: yield function
        for child in ast.iter_child_nodes(node): yield from visit(child, inside, function)
    return set(visit(ast.parse(code), False, ''))

def test_every_writer_has_a_temporary_name_of_its_own():
    found = {p.stem: unsafe_writes(p.read_text()) for p in (ROOT/'ssl_fusion').glob('[!_]*.py') if p.stem!='files'}
    assert {room: odd for room,functions in found.items() if (odd := functions-ALONE.get(room, set()))}=={}

@pytest.mark.parametrize('code,found', [
    ("def f(x, path):\n with open(tmp, 'wb') as h: np.save(h, x)\n os.replace(tmp, path)", {'f'}),
    ("def f(x):\n x.to_parquet('a')", {'f'}), ("def f(x): return x.replace('a', 'b')", set()),
    ("def f(x):\n with replacing('a') as tmp, open(tmp, 'wb') as h: np.save(h, x)", set())], ids=str)
def test_unsafe_writes(code, found): assert unsafe_writes(code)==found

def test_one_room_makes_temporary_names():
    "But for the arrays of an unfinished store, which a resumed run must find."
    named = {(p.stem, c.value) for p in (ROOT/'ssl_fusion').glob('[!_]*.py') for c in ast.walk(ast.parse(p.read_text()))
             if isinstance(c, ast.Constant) and isinstance(c.value, str) and re.search(r'\.tmp\b', c.value)}
    assert {room for room,_ in named}<={'files','store'}
    assert {text for room,text in named if room=='store'}<={'.npy.tmp','<source>.npy.tmp','.tmp'}

# ---- tools -----------------------------------------------------------------------------------------------------------

def once(lock, *command): return [sys.executable, str(ROOT/'tools'/'only_once.py'), str(lock), *command]

def test_a_second_run_is_refused_while_the_first_lives(tmp_path):
    lock = tmp_path/'runs'/'lock'
    first = subprocess.Popen(once(lock, sys.executable, '-c', 'print("running", flush=True); input()'),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline()=='running\n'
    second = subprocess.run(once(lock, 'true'), capture_output=True, text=True)
    assert second.returncode==75 and f'process {first.pid}' in second.stderr
    first.kill(); first.wait()
    assert subprocess.run(once(lock, 'true')).returncode==0
