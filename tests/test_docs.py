"The site: every page is there, every link and image leads somewhere, nothing is asked of another machine."
import ast, json, os, re, shutil, subprocess, sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
import pytest
from redraw import describe
from docs import Site, build, settings, terminal
from reference import read_module

for package in 'sphinx','myst_nb','pydata_sphinx_theme','sphinx_copybutton':
    pytest.importorskip(package, reason=f"the site needs {package}: pip install -e '.[dev]'")

pytestmark = pytest.mark.xdist_group('site') # in one process, since they share one site
ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = [p.relative_to(ROOT) for g in ('nbs/**/[!_.]*.ipynb','figures/*/notebooks/*.ipynb') for p in sorted(ROOT.glob(g)) if not {'.ipynb_checkpoints','smoke'} & {*p.parts}] # smoke is not tracked
PROFILES = sorted(p.name for p in (ROOT/'figures').iterdir() if p.is_dir() and p.name!='smoke')

@pytest.fixture(scope='module')
def site(tmp_path_factory):
    "The site of this repository, built once."
    out = tmp_path_factory.mktemp('site')/'html'
    run = subprocess.run([sys.executable, 'tools/docs.py', '--out', out], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode==0, run.stdout+run.stderr
    return out

class Page(HTMLParser):
    "What a page links to, loads, and names."
    def __init__(self, path):
        super().__init__()
        self.links,self.loads,self.ids,self.texts = [],[],set(),[]
        self.feed(path.read_text(encoding='utf-8'))
    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if 'id' in a: self.ids.add(a['id'])
        if tag=='a' and 'href' in a: self.links.append(a['href'])
        if tag in ('script','img','source','iframe','video','audio','embed') and a.get('src'): self.loads.append(a['src'])
        if tag=='object' and a.get('data'): self.loads.append(a['data'])
        if tag=='link' and a.get('rel') not in ('index','search','next','prev','canonical','author','copyright'): self.loads.append(a['href'])
    def handle_data(self, data): self.texts.append(data)

@pytest.fixture(scope='module')
def pages(site): return {p: Page(p) for p in site.rglob('*.html') if '_static' not in p.parts}

# ---- the whole site --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('path', NOTEBOOKS, ids=str)
def test_notebook_is_a_page_with_its_outputs(site, pages, path):
    page = pages[site/path.with_suffix('.html')]
    cells = json.loads((ROOT/path).read_text(encoding='utf-8'))['cells']
    shown = [c for c in cells if c['cell_type']=='code' and not re.search(r'^#\|\s*hide\b', ''.join(c['source']), re.M)]
    pictures = sum('image/png' in o.get('data', {}) for c in shown for o in c['outputs'])
    assert sum('_images/' in x for x in page.loads)>=pictures
    said = [''.join(o['text']).split() for c in shown for o in c['outputs'] if o.get('name')=='stdout' and '\x1b' not in ''.join(o['text'])]
    text = ' '.join(''.join(page.texts).split())
    assert all(' '.join(words) in text for words in said)

def test_sections(site, pages):
    start = pages[site/'index.html']
    assert {'nbs/index.html','paper.html','library.html','experiments.html','CONTRIBUTING.html'} <= set(start.links)
    said = ''.join(start.texts)
    assert 'make reproduce' in said and 'make test' in said

def test_every_slide_has_its_section(site, pages):
    slides = 'unsupervised-learning data-fusion previous-work-eurosat previous-work-fusion this-work results-no-fusion results-fusion conclusions'
    assert set(slides.split()) <= pages[site/'paper.html'].ids

@pytest.mark.parametrize('profile', PROFILES)
def test_every_figure_is_shown_with_its_table(site, pages, profile):
    page,folder = pages[site/f'figures/{profile}/index.html'],ROOT/'figures'/profile
    for name in {p.stem for p in folder.iterdir() if p.suffix in ('.svg','.png')}:
        assert any(re.fullmatch(rf'.*_images/{name}\d*\.(svg|png)', x) for x in page.loads), name
        if (folder/f'{name}.csv').exists(): assert any(x.endswith(f'/{name}.csv') for x in page.links), name
        assert all(part in ' '.join(' '.join(page.texts).split()) for part in said_of(folder, name)), f'{name}: what it shows'

def said_of(folder, name):
    "Parts of a figure's caption that have no markup."
    return [part for part in re.split(r"[.;*'\"]", describe(folder, name)) if part and ':' in part]

def test_talk_stands_beside_ours(site, pages):
    "1 % of the labels from scratch: ours and the talk's, as in talk_and_ours.csv."
    assert '0.652\u00a0/ 0.573' in ' '.join(pages[site/'figures/eurosat_gpu/index.html'].texts)

def test_nothing_is_loaded_from_elsewhere(site, pages):
    loads = {x for page in pages.values() for x in page.loads}
    loads |= {x for p in site.rglob('*.css') for x in re.findall(r'(?:url\(|@import )\s*["\']?([^"\')\s;]+)', p.read_text(encoding='utf-8'))}
    assert not [x for x in loads if re.match(r'(?!data:)(\w+:|//)', x)]

def test_links_and_images_lead_somewhere(site, pages):
    def lost(page, link):
        path,_,anchor = unquote(link).partition('#')
        target = (page.parent/path.split('?')[0]).resolve() if path else page
        return not target.exists() or anchor and target in pages and anchor not in pages[target].ids
    broken = [f'{p.relative_to(site)}: {x}' for p,page in pages.items() for x in page.links+page.loads
              if not re.match(r'\w+:', x) and x!='#' and lost(p, x)]
    assert not broken, '\n'.join(broken)

def test_search_index(site):
    index = (site/'searchindex.js').read_text(encoding='utf-8')
    assert 'nbs/learn/02_losses' in index and 'cross_correlation' in index

def test_equations_need_no_script(site, pages):
    path = site/'nbs/learn/02_losses.html'
    assert '<math' in path.read_text(encoding='utf-8') and not [x for x in pages[path].loads if 'math' in x.lower()]

# ---- reference -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('module', sorted(f'{p.parent.name}.{p.stem}' for p in (ROOT/'ssl_fusion').glob('*/[!_]*.py')))
def test_reference_has_every_public_name(site, pages, module):
    path = (ROOT/'ssl_fusion').joinpath(*module.split('.')).with_suffix('.py')
    public = next(ast.literal_eval(n.value) for n in ast.parse(path.read_text()).body if isinstance(n, ast.Assign) and n.targets[0].id=='__all__')
    page = pages[site/f'reference/{module}.html']
    assert {f'ssl_fusion.{module}.{name}' for name in public} <= page.ids

def test_names_in_prose_lead_to_the_reference(pages, site):
    link = '../../reference/learn.losses.html#ssl_fusion.learn.losses.barlow_terms'
    assert link in pages[site/'nbs/learn/02_losses.html'].links

def test_source_links_name_the_lines(pages, site):
    lines = (ROOT/'ssl_fusion/learn/losses.py').read_text().splitlines()
    first = [int(m[1]) for x in pages[site/'reference/learn.losses.html'].links if (m := re.search(r'/blob/main/ssl_fusion/learn/losses\.py#L(\d+)-L\d+$', x))]
    assert lines[first[0]-1].startswith('def cross_correlation(') and lines[first[1]-1].startswith('class BarlowTerms(')

SOURCE = '''
"A promise"
__all__ = ['RATE', 'add', 'Pair']
# %% ../../nbs/data/03_sums.ipynb #abc
RATE = 1e-3
# %% ../../nbs/data/03_sums.ipynb #def
def add(
    a:int, b:int, # Two, in one line
    *rest:int, # More
    scale:float=5e-3, # Factor
)->int: # Sum
    "Add them up."
def hidden(): pass
class Pair(NamedTuple):
    "Two."
    left:str # The one
    right:str|None = None # The other
    def swap(self, times:int=1)->'Pair':
        "Turn round."
'''

def test_module_is_read():
    m = read_module('data.sums', SOURCE)
    rate,add,pair = m.entries
    def rows(e): return [(p.name, p.type, p.default, p.comment) for p in e.parameters]
    assert (m.doc, m.notebook, rate.signature) == ('A promise', 'data/03_sums.ipynb', '1e-3')
    assert (add.signature, add.line, add.cell) == ('(a, b, *rest, scale=5e-3)', 7, 'def')
    assert rows(add) == [('a','int','',''), ('b','int','','Two, in one line'), ('rest','int','','More'), ('scale','float','5e-3','Factor'), ('returns','int','','Sum')]
    assert rows(pair) == [('left','str','','The one'), ('right','str|None','None','The other')]
    assert [(x.name, x.signature) for x in pair.members] == [('Pair.swap', '(times=1)')]

def test_public_name_without_definition_is_refused():
    with pytest.raises(ValueError, match='sums: .*nothing'): read_module('sums', "__all__ = ['nothing']")

# ---- what ends a build -----------------------------------------------------------------------------------------------

@pytest.fixture
def small(tmp_path):
    "A repository of one notebook."
    for name in 'settings.ini','docs/conf.py','docs/figures.yml','docs/static': (shutil.copytree if (ROOT/name).is_dir() else copy)(ROOT/name, tmp_path/name)
    for folder in 'figures','nbs','ssl_fusion': (tmp_path/folder).mkdir()
    (tmp_path/'nbs/index.ipynb').write_text(json.dumps(dict(cells=[dict(cell_type='markdown', id='a', metadata={}, source='# Start')], metadata={}, nbformat=4, nbformat_minor=5)))
    for name in 'docs/index.md','docs/paper.md','CONTRIBUTING.md': (tmp_path/name).write_text(f'# {name}\n\nText.\n')
    return tmp_path

def copy(source, to):
    to.parent.mkdir(exist_ok=True)
    shutil.copy(source, to)

def test_link_to_a_heading_that_is_not_there_ends_the_build(small, capfd):
    assert build(small/'good', small), capfd.readouterr().err
    (small/'docs/paper.md').write_text('# Paper\n\n[lost](../CONTRIBUTING.md#nowhere)\n')
    assert not build(small/'bad', small) and 'nowhere' in capfd.readouterr().err

def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path/'thesis.txt').write_text('years of work')
    run = subprocess.run([sys.executable, 'tools/docs.py', '--out', tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode and 'other things' in run.stderr and (tmp_path/'thesis.txt').exists()

def test_ignored_figures_stay_out(small):
    (small/'.gitignore').write_text('figures/smoke/\n')
    for name in 'smoke','mine': (small/'figures'/name/'notebooks').mkdir(parents=True)
    (small/'figures/smoke/notebooks/01_a.ipynb').write_text('{}')
    site = Site(small, small/'out')
    assert set(site.profiles)=={'mine'} and not [p for p in site.pages if 'smoke' in p]

@pytest.mark.parametrize('text,word', [
    ('[lost](../nbs/99_lost.ipynb)', 'docs/paper.md: a link leads to ../nbs/99_lost.ipynb'), ('see @tbl-one', '@tbl-one: only @fig- and @eq-')])
def test_what_leads_nowhere_is_named(small, text, word):
    (small/'docs/paper.md').write_text(f'# Paper\n\n{text}\n')
    with pytest.raises(ValueError, match=word): build(small/'bad', small)

def test_progress_leaves_its_last_state():
    assert terminal('a\n1 of 2\r2 of 2\n\x1b[2K\rhalf\x1b[2K\rdone')=='a\n2 of 2\ndone'
    assert terminal('\x1b[2K\rhalf\x1b[2K\r').strip()==''

def test_unknown_directive_is_named(small):
    with pytest.raises(ValueError, match='here: unknown directive layout-ncol'): Site(small, small/'out').cell(dict(source='#| layout-ncol: 2\n1', metadata={}, outputs=[]), 'here')

def test_names_of_the_library_are_linked_outside_of_code(small):
    for folder in 'ssl_fusion/data','nbs/data': (small/folder).mkdir()
    (small/'ssl_fusion/data/sums.py').write_text(SOURCE.strip())
    (small/'nbs/data/03_sums.ipynb').write_text('{}')
    myst = Site(small, small/'out').myst
    assert myst('`add` and `other`', 'CONTRIBUTING.md', 'CONTRIBUTING.md')=='{py:obj}`add <ssl_fusion.data.sums.add>` and `other`'
    for kept in '```\n`add`\n```', '# `add`', '[`add`](https://a.b)', '``a `add` b``': assert myst(kept, 'CONTRIBUTING.md', 'CONTRIBUTING.md')==kept
    assert myst('$$x$$ {#eq-x} as in @eq-x and @fig-y.', 'CONTRIBUTING.md', 'CONTRIBUTING.md')=='$$x$$ (eq-x) as in {eq}`eq-x` and {numref}`fig-y`.'

def test_figures_and_equations_are_numbered(small):
    cells = [dict(cell_type='markdown', id='a', metadata={}, source='# Start\n\n$$x=1$$ {#eq-one}\n\nSee @fig-one and @eq-one.'),
             dict(cell_type='code', id='b', metadata={}, execution_count=None, source='#| label: fig-one\n#| fig-cap: "A square"\nplot()',
                  outputs=[dict(output_type='display_data', metadata={}, data={'image/png': PIXEL})])]
    (small/'nbs/index.ipynb').write_text(json.dumps(dict(cells=cells, metadata={}, nbformat=4, nbformat_minor=5)))
    assert build(small/'html', small)
    text = ' '.join(' '.join(Page(small/'html/nbs/index.html').texts).split())
    assert 'See Fig. 1 and (1)' in text and 'A square' in text and 'fig-cap' not in text

PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

# ---- elsewhere -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('path', [p for p in NOTEBOOKS if p.parent.name=='tutorials'], ids=str)
def test_tutorial_opens_in_colab_and_on_binder(path):
    cfg,(head,install) = settings(),[''.join(c['source']) for c in json.loads((ROOT/path).read_text(encoding='utf-8'))['cells'][:2]]
    repository = cfg['git_url'].removeprefix('https://github.com/')
    assert f'](https://colab.research.google.com/github/{repository}/blob/{cfg["branch"]}/{path})' in head
    assert f'](https://mybinder.org/v2/gh/{repository}/{cfg["branch"]}?labpath={path})' in head
    assert "if 'google.colab' in sys.modules:" in install and f'git+{cfg["git_url"]}' in install

def test_binder_installs_the_project():
    lines,cfg = (ROOT/'.binder/requirements.txt').read_text().splitlines(),settings()
    assert '-e .[paper]' in lines and set(lines[lines.index('-e .[paper]')+1:]) <= set(cfg['dev_requirements'].split())
    assert (ROOT/'.binder/runtime.txt').read_text().strip()==f'python-{cfg["min_python"]}'

def test_nbdev_docs_goes_as_far_as_quarto(tmp_path):
    "For those who have Quarto: everything that nbdev does before it, with a stand-in that makes the folder of the site."
    for name in 'nbs','ssl_fusion','data/talk': shutil.copytree(ROOT/name, tmp_path/name)
    for name in 'settings.ini','README.md': shutil.copyfile(ROOT/name, tmp_path/name)
    quarto = tmp_path/'bin/quarto'
    quarto.parent.mkdir()
    quarto.write_text('#!/bin/sh\nmkdir -p _docs\n')
    quarto.chmod(0o755)
    run = subprocess.run([Path(sys.executable).with_name('nbdev_docs'), '--n_workers', '1'], cwd=tmp_path, capture_output=True, text=True,
                         env=os.environ | dict(PATH=f'{quarto.parent}{os.pathsep}{os.environ["PATH"]}'))
    assert run.returncode==0 and (tmp_path/'_docs').is_dir(), run.stderr
    assert not [p for p in NOTEBOOKS if p.parts[0]=='nbs' and not (tmp_path/'_proc'/p.relative_to('nbs')).exists()]
    shown = [c for c in json.loads((tmp_path/'_proc/learn/02_losses.ipynb').read_text())['cells'] if 'show_doc(cross_correlation)' in ''.join(c['source'])]
    assert 'Embeddings of view A' in str(shown[0]['outputs'])

# ---- in a browser ----------------------------------------------------------------------------------------------------

def test_every_page_in_a_browser(tab, site, pages):
    "Nothing said, asked or missing, and on a phone no page is wider than the screen."
    tab.set_viewport_size(dict(width=390, height=844))
    wrong = {}
    for path in pages:
        tab.goto(path.as_uri())
        wide = tab.evaluate('document.documentElement.scrollWidth>document.documentElement.clientWidth')
        if found := [*tab.said, *tab.asked, *tab.missing_images(), *['too wide']*wide]: wrong[str(path.relative_to(site))] = found
        tab.said.clear(), tab.asked.clear()
    assert not wrong

def test_search_from_a_file(tab, site):
    tab.goto((site/'index.html').as_uri())
    tab.keyboard.press('Control+k')
    tab.locator('dialog input[type=search]').first.fill('cross_correlation')
    tab.keyboard.press('Enter')
    first = tab.locator('ul.search li a').first
    first.wait_for()
    first.click()
    tab.wait_for_url('**/reference/learn.losses.html*')
    assert tab.locator('#ssl_fusion\\.learn\\.losses\\.cross_correlation').count()==1 and not tab.said and not tab.asked

def test_light_dark_and_copying(tab, site):
    tab.emulate_media(color_scheme='dark')
    tab.goto((site/'nbs/learn/02_losses.html').as_uri())
    dark = tab.evaluate('getComputedStyle(document.body).backgroundColor')
    tab.emulate_media(color_scheme='light')
    tab.reload()
    assert tab.evaluate('getComputedStyle(document.body).backgroundColor')!=dark
    cell = tab.locator('div.highlight', has=tab.locator('button.copybtn')).first
    cell.hover()
    cell.locator('button.copybtn').click()
    tab.keyboard.press('Control+k')
    tab.keyboard.press('Control+v')
    assert tab.locator('dialog input[type=search]').first.input_value()==' '.join(cell.locator('pre').inner_text().split('\n')).strip()
