"""Build the site from what is committed: no notebook is run, no module imported, nothing fetched.

    python tools/docs.py                   into _docs/; open _docs/index.html
    python tools/docs.py --out FOLDER

Notebooks come with their committed outputs, the reference from the source (reference.py), figures and executed experiments
from figures/. Pages keep their place in the repository, so a link between two files is a link between two pages; a link to
a file that is no page leads to the repository on the web. A link to nothing ends the build.
"""
import argparse, csv, json, re, shutil, sys, tempfile
from configparser import ConfigParser
from fnmatch import fnmatch
from html import escape
from pathlib import Path
from posixpath import dirname, normpath, relpath
import yaml
from redraw import describe
from reference import module_page, read_module, symbols

ROOT = Path(__file__).resolve().parent.parent
WINGS = dict(data='From files to batches and splits', learn='The method', use='For people with their own scenes',
             paper='The talk: its experiments, figures and claims')
COPIED = {'.png','.svg','.jpg','.csv'}  # what a page shows or offers; other files are linked where they are on the web

def settings(root=ROOT):
    "settings.ini of the project."
    ini = ConfigParser(delimiters=['='])
    ini.read(root/'settings.ini', encoding='utf-8')
    return ini['DEFAULT']

def glob(root, pattern): return sorted(str(p.relative_to(root)) for p in root.glob(pattern) if not p.name.startswith(('_','.')))
def stem(path): return Path(path).stem
def title(path): return stem(path).replace('_', ' ')

def terminal(text):
    "What a terminal shows in the end: a line that was written again has replaced itself."
    return '\n'.join(re.split(r'\r|\x1b\[2K', line.rstrip('\r'))[-1] for line in text.split('\n'))

def output(o):
    "An output without the traces of its progress; None when nothing is left."
    if o['output_type']!='stream': return o
    return o | dict(text=said) if (said := terminal(''.join(o['text']))).strip() else None

class Site:
    "What becomes a page: `pages` leads from a file or folder of the repository to the file that Sphinx is given."
    def __init__(self, root, out):
        self.root,self.out,self.cfg = root,out,settings(root)
        lib = self.cfg['lib_path']
        self.captions = yaml.safe_load((root/'docs/figures.yml').read_text(encoding='utf-8'))
        self.rooms = [p for wing in WINGS for p in glob(root, f'nbs/{wing}/[0-9]*.ipynb')]
        self.steps = glob(root, 'nbs/experiments/*.ipynb')
        self.tutorials = glob(root, 'nbs/tutorials/*.ipynb')
        self.others = [p for p in glob(root, 'nbs/*.ipynb') if p!='nbs/index.ipynb']
        ignored = (root/'.gitignore').read_text().split() if (root/'.gitignore').exists() else []
        names = [d.name for d in (root/'figures').iterdir() if d.is_dir() and f'figures/{d.name}/' not in ignored]
        self.profiles = {p: self.profile(p) for p in sorted(names, key=self.order)}
        self.modules = [read_module('.'.join(Path(p).with_suffix('').parts[1:]), (root/p).read_text(encoding='utf-8'))
                        for p in glob(root, f'{lib}/*/*.py')]
        self.modules.sort(key=lambda m: self.rooms.index(f'nbs/{m.notebook}'))
        self.symbols = symbols(self.modules, lib)
        runs = [n for p in self.profiles for n in glob(root, f'figures/{p}/notebooks/*.ipynb')]
        self.pages = {p: p for p in [*self.rooms, *self.steps, *self.tutorials, *self.others, *runs, 'nbs/index.ipynb', 'CONTRIBUTING.md']}
        self.pages |= {'docs/index.md': 'index.md', 'docs/paper.md': 'paper.md', 'README.md': 'nbs/index.ipynb', 'nbs': 'library.md', lib: 'reference.md',
                       'nbs/experiments': 'experiments.md', 'figures': 'results.md'}
        if self.tutorials: self.pages['nbs/tutorials'] = 'tutorials.md'
        for p in self.profiles: self.pages |= dict.fromkeys([f'figures/{p}', f'figures/{p}/README.md'], f'figures/{p}/index.md')
        for m in self.modules: self.pages[f'{lib}/{m.file}'] = f'reference/{m.name}.md'

    def order(self, profile): return self.profile(profile).get('dataset')=='simulated', profile

    def profile(self, name):
        path = self.root/'profiles'/f'{name}.yml'
        return yaml.safe_load(path.read_text(encoding='utf-8')) if path.exists() else {}

    def runs(self, profile): return [p for p in self.pages if p.startswith(f'figures/{profile}/notebooks/')]

    def web(self, path):
        "Where a file or folder of the repository is on the web."
        return f'{self.cfg["git_url"]}/{"tree" if (self.root/path).is_dir() else "blob"}/{self.cfg["branch"]}/{path}'

    # ---- Markdown of the repository -> MyST ------------------------------------------------------------------------------

    def link(self, target, source, page):
        "A link in the file `source` as it must read on `page`."
        if re.match(r'\w+:|#', target): return target
        path,_,anchor = target.partition('#')
        path = normpath(f'{dirname(source)}/{path}'.lstrip('/'))
        if path not in self.pages and not (self.root/path).exists(): raise ValueError(f'{source}: a link leads to {target}, which does not exist')
        if path in self.pages: return relpath(self.pages[path], dirname(page) or '.')+(anchor and f'#{anchor}')
        if Path(path).suffix not in COPIED: return self.web(path)+(anchor and f'#{anchor}')
        (self.out/path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.root/path, self.out/path)
        return relpath(path, dirname(page) or '.')

    def name(self, text, module):
        "A name in backticks, as a link to its entry if it is one of the library's."
        meanings = self.symbols.get(text.removesuffix('()'), {})
        full = meanings.get(module) or (next(iter(meanings.values())) if len(meanings)==1 else '')
        return f'{{py:obj}}`{text} <{full}>`' if full else f'`{text}`'

    TOKEN = re.compile(r'(?P<keep>^ {0,3}(?P<fence>```+|~~~+).*?^ {0,3}(?P=fence)[ \t]*$|^#+ .*?$|\$\$.*?\$\$(?P<eq>[ \t]*\{#(?P<label>eq-[\w-]+)\})?)'
                       r'|\[!\[(?P<alt>[^\]]*)\]\((?P<image>[^)\s]+)\)\]\((?P<around>[^)\s]+)\)'
                       r'|(?P<words>!?\[(?:[^\[\]`]|`[^`]*`)*\])\((?P<to>[^)\s]+)\)'
                       r'|(?P<ticks>(?<!`)`+(?!`))(?P<code>.+?)(?<!`)(?P=ticks)(?!`)'
                       r'|(?<![\w@])@(?P<kind>fig|eq)-(?P<ref>[\w-]*\w)|(?<![\w@])@(?P<unknown>(?:tbl|sec|lst|tab)-[\w-]+)', re.M|re.S)

    def myst(self, text, source, page, module=''):
        "Markdown as nbdev takes it (links by file, names in backticks, `@fig-`, `@eq-`) in MyST's words."
        def one(m):
            if m['unknown']: raise ValueError(f'{source}: @{m["unknown"]}: only @fig- and @eq- are known here')
            if m['keep']: return m[0].replace(m['eq'], f' ({m["label"]})') if m['eq'] else m[0]
            if m['around']: return f'[![{m["alt"]}]({self.link(m["image"], source, page)})]({self.link(m["around"], source, page)})'
            if m['to']: return f'{m["words"]}({self.link(m["to"], source, page)})'
            if m['kind']: return f'{{{"numref" if m["kind"]=="fig" else "eq"}}}`{m["kind"]}-{m["ref"]}`'
            return self.name(m['code'], module) if m['ticks']=='`' else m[0]
        return self.TOKEN.sub(one, text)

    def write(self, page, text, source=None):
        "A page, its links relative to the repository's root or to `source`."
        path = self.out/page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.myst(text, source or 'root', page), encoding='utf-8')

    # ---- notebooks -------------------------------------------------------------------------------------------------------

    DROPPED = {'hide','default_exp'}
    PLAIN = {'export','exporti','exports','eval','slow','gpu','notest'}  # nothing to do: the cell is shown with what it kept
    SHOWN = {'echo','code-fold','label','fig-cap'}

    def cell(self, cell, path):
        "A code cell without nbdev's directives, which become Sphinx's; None for a hidden one."
        source = ''.join(cell['source'])
        options = {k: v.strip().strip('"') for k,v in re.findall(r'^#\|[ \t]*([\w-]+):?(.*)$', source, re.M)}
        if unknown := options.keys()-self.DROPPED-self.PLAIN-self.SHOWN: raise ValueError(f'{path}: unknown directive {", ".join(sorted(unknown))}')
        body = re.sub(r'^#\|.*\n?', '', source, flags=re.M).strip('\n')
        if self.DROPPED & options.keys() or not body: return None
        tags = [*cell['metadata'].get('tags', [])]
        if options.get('echo')=='false': tags.append('remove-input')
        if options.get('code-fold')=='true': tags.append('hide-input')
        meta = dict(tags=tags)
        if 'label' in options:
            if not options['label'].startswith('fig-'): raise ValueError(f'{path}: label {options["label"]}: only fig- is known here')
            meta['mystnb'] = dict(figure=dict(name=options['label'], caption=options.get('fig-cap', '')))
        return cell | dict(source=body, metadata=meta, outputs=[shown for o in cell['outputs'] if (shown := output(o))])

    def notebook(self, path, note):
        "Stage a notebook; `note` goes under its title."
        nb = json.loads((self.root/path).read_text(encoding='utf-8'))
        page,cells = self.pages[path],[]
        module = next((m.name for m in self.modules if path==f'nbs/{m.notebook}'), '')
        defined = {e.cell for m in self.modules if m.name==module for e in m.entries}
        def say(text): cells.append(dict(cell_type='markdown', id=f'site-{len(cells)}', metadata={}, source=text))
        for i,cell in enumerate(nb['cells']):
            if cell['cell_type']=='markdown':
                text = ''.join(cell['source'])
                if not i: text = re.sub(r'^- \w+: .*$', '', text, flags=re.M)  # nbdev's settings of the page
                say(self.myst(text, path, page, module))
                if not i: say(self.myst(f':::{{container}} where\n{note}\n:::', 'root', page))
            elif cell['cell_type']=='code' and (shown := self.cell(cell, path)):
                if cell['id'] in defined: say(f'({module}-{cell["id"]})=')
                cells.append(shown)
        nb['cells'],nb['metadata']['language_info'] = cells,dict(name='python', pygments_lexer='ipython3')
        (self.out/page).parent.mkdir(parents=True, exist_ok=True)
        (self.out/page).write_text(json.dumps(nb), encoding='utf-8')

    def promise(self, path):
        "The line under a notebook's title."
        first = json.loads((self.root/path).read_text(encoding='utf-8'))['cells'][0]
        return next((line.lstrip('> ').strip() for line in ''.join(first['source']).splitlines() if line.startswith('>')), '')

    def notebooks(self):
        lib = self.cfg['lib_path']
        names = {f'nbs/{m.notebook}': m.file for m in self.modules}
        for path in self.pages:
            if not path.endswith('.ipynb'): continue
            links = [f'[reference of this module]({lib}/{names[path]})'] if path in names else []
            if path.startswith('figures/'):
                profile = path.split('/')[1]
                links = [f'as run by profile [{profile}](figures/{profile})']
            self.notebook(path, ' · '.join([*links, f'[this notebook in the repository]({self.web(path)})']))

    # ---- generated pages -------------------------------------------------------------------------------------------------

    def toc(self, caption, entries):
        "A part of the navigation: file or page, or (name, file or page)."
        named = [(e, None) if isinstance(e, str) else (e[1], e[0]) for e in entries]
        lines = [f'{name} <{self.pages.get(p, p)}>' if name else self.pages.get(p, p) for p,name in named]
        return '\n'.join(['```{toctree}', ':hidden:', *([f':caption: {caption}'] if caption else []), '', *['/'+l if ' <' not in l else l.replace(' <', ' </') for l in lines], '```'])

    def reference(self):
        lib = self.cfg['lib_path']
        rows = [f'| [{m.name}]({lib}/{m.file}) | {", ".join(f"`{lib}.{m.name}.{e.name}`" for e in m.entries if e.kind in ("class","function"))} |' for m in self.modules]
        self.write('reference.md', '\n'.join(['# Reference', '', '> Every public name, with its parameters: read from the source', '',
                                              *['| module | classes and functions |', '|---|---|', *rows]]))
        path = self.out/'reference.md'
        path.write_text(re.sub(rf'`{lib}\.\w+\.\w+\.(\w+) <', r'`\1 <', path.read_text()))
        for m in self.modules:
            page = f'reference/{m.name}.md'
            (self.out/page).parent.mkdir(exist_ok=True)
            def linked(text): return self.myst(text, f'{lib}/{m.file}', page, m.name)
            (self.out/page).write_text(module_page(m, lib, linked, self.web(f'{lib}/{m.file}')), encoding='utf-8')

    def library(self):
        lib,named = self.cfg['lib_path'],{f'nbs/{m.notebook}': m.file for m in self.modules}
        parts = ['# Library', '> One concept, one notebook, one module, in reading order',
                 'Each notebook says why, defines, shows that it holds and how it fails. Its outputs are those of the committed run; '
                 'the tests run it again and compare.']
        for wing,what in WINGS.items():
            rooms = [p for p in self.rooms if p.startswith(f'nbs/{wing}/')]
            if not rooms: continue
            rows = [f'| [{title(p)}]({p}) | {self.promise(p)} | '+(f'[reference]({lib}/{named[p]})' if p in named else '')+' |' for p in rooms]
            parts += [f'## {wing}', f'{what}.', '\n'.join(['| notebook | promise | |', '|---|---|---|', *rows])]
            parts.append(self.toc(wing, [(title(p)[3:], p) for p in rooms]))
        parts.append(self.toc('Reference', [('All names', 'reference.md'), *[(m.name, f'reference/{m.name}.md') for m in self.modules]]))
        self.write('library.md', '\n\n'.join(parts))

    def tutorial_list(self):
        if not self.tutorials: return
        rows = [f'- [{self.heading(p)}]({p}): {self.promise(p)}' for p in self.tutorials]
        self.write('tutorials.md', '\n\n'.join(['# Tutorials', '> From a question to an answer, in one notebook each', '\n'.join(rows),
                                                self.toc('', [(self.heading(p), p) for p in self.tutorials])]))

    def heading(self, path):
        "A notebook's title."
        first = json.loads((self.root/path).read_text(encoding='utf-8'))['cells'][0]
        return ''.join(first['source']).splitlines()[0].lstrip('# ').strip()

    def about(self, profile):
        "One line on a profile."
        p = self.profiles[profile]
        return f'{p["title"][0].upper()}{p["title"][1:]}; {p["budget"]}.' if p else 'A run whose profile is not in the repository any more.'

    def experiments(self):
        steps = [f'| [{title(p)}]({p}) | {self.promise(p)} |' for p in self.steps]
        profiles = [f'| [{p}](figures/{p}) | {self.about(p)} | {len(self.runs(p))} |' for p in self.profiles]
        self.write('experiments.md', '\n\n'.join([
            '# Experiments', '> Papermill notebooks: the steps, and each as a profile ran it',
            '\n'.join(['| step | what it does |', '|---|---|', *steps]),
            'A profile is a file that sets the parameters of every step; `make reproduce PROFILE=...` runs it. Committed are:',
            '\n'.join(['| profile | what | notebooks |', '|---|---|---|', *profiles]),
            self.toc('Steps', [(title(p), p) for p in self.steps]),
            *[self.toc(p, [(title(n), n) for n in self.runs(p)]) for p in self.profiles if self.runs(p)]]))

    def results(self):
        parts = ['# Results', '> Every committed figure and table, by profile']
        for p in self.profiles:
            shown = self.figures(p)
            parts += [f'## {p}', self.about(p)+f' [Tables, the talk beside them, and what was run](figures/{p}).', *[self.figure(p, s) for s in shown]]
            self.profile_page(p)
        self.write('results.md', '\n\n'.join(parts))

    def rows(self, path):
        with (self.root/path).open(encoding='utf-8', newline='') as f: return list(csv.DictReader(f))

    def figures(self, profile):
        "Names of a profile's figures, the talk's own first."
        names = {stem(p) for s in ('svg','png') for p in glob(self.root, f'figures/{profile}/*.{s}')}
        known = list(self.captions.values())
        return sorted(names, key=lambda n: (known.index(self.known(n)) if self.known(n) else len(known), n))

    def known(self, name):
        "What docs/figures.yml says of a figure or table."
        return next((said for pattern,said in self.captions.items() if fnmatch(name, pattern)), {})

    def caption(self, profile, name):
        "What a figure is, what it was drawn from, and where that can be had."
        here = f'figures/{profile}/{name}'
        known = self.known(name)
        facts = describe(self.root/'figures'/profile, name)
        parts = [f'**{known.get("title", title(name).capitalize())}.**', known.get('caption', '').strip(), facts]
        if self.is_simulated(profile, name) and 'SIMULATED' not in facts: parts.append('*Simulated data.*')
        files = [f'[{s.upper()}]({here}.{s})' for s in ('csv','svg','png') if (self.root/f'{here}.{s}').exists()]
        return ' '.join(p for p in [*parts, 'Files: '+', '.join(files)+'.'] if p)

    def is_simulated(self, profile, name):
        "Whether a figure's table says so, or, where it does not say, the profile."
        path = f'figures/{profile}/{name}.csv'
        rows = self.rows(path) if (self.root/path).exists() else []
        said = {r['simulated'] for r in rows if 'simulated' in r}
        return 'True' in said if said else self.profiles[profile].get('dataset')=='simulated'

    def figure(self, profile, name):
        here = f'figures/{profile}/{name}'
        image = next(f'{here}.{s}' for s in ('svg','png') if (self.root/f'{here}.{s}').exists())
        alt = self.known(name).get('title', title(name))
        return f'![{alt}, profile {profile}]({image})\n\n:::{{container}} caption\n{self.caption(profile, name)}\n:::'

    def beside_the_talk(self, path):
        "Ours over the talk's value, a row a strategy, a column a label fraction; one table a source and split."
        rows,tables = self.rows(path),[]
        def number(s): return f'{float(s):.3f}' if s else '–'
        for key in dict.fromkeys((r['dataset'],r['source'],r['split'],r['metric']) for r in rows):
            part = [r for r in rows if (r['dataset'],r['source'],r['split'],r['metric'])==key]
            if not any(r['ours'] for r in part): continue
            fractions = sorted({float(r['fraction']) for r in part})
            lines = [f'| {key[1]}, {key[2]} | {" | ".join(f"{f:g} %" for f in fractions)} |', '|---'*(len(fractions)+1)+'|']
            for s in dict.fromkeys(r['strategy'] for r in part):
                cells = {float(r['fraction']): f'{number(r["ours"])}\u00a0/ {number(r["talk"])}' for r in part if r['strategy']==s}
                lines.append(f'| {s} | {" | ".join(cells.get(f, "") for f in fractions)} |')
            tables.append('\n'.join(lines))
        if not tables: return ''
        return '\n\n'.join(['### Beside the talk', f'Ours / the talk\'s. A dash is a value that was not run or not published. [CSV]({path}).', *tables])

    def folded(self, path):
        "A CSV as a table that opens."
        rows = self.rows(path)
        def number(s): return f'{float(s):.4g}' if re.fullmatch(r'-?\d+\.\d{4,}(?:e-?\d+)?', s) else s
        head = ''.join(f'<th>{escape(c)}</th>' for c in rows[0])
        body = ''.join('<tr>'+''.join(f'<td>{escape(number(v or ""))}</td>' for v in r.values())+'</tr>' for r in rows)
        return f'<details class="table"><summary>{len(rows)} rows</summary>\n<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></details>'

    def profile_page(self, profile):
        "Figures with their tables, what was run, and the notebooks."
        page,shown = f'figures/{profile}/index.md',self.figures(profile)
        parts = [f'# {profile}', f'> {self.about(profile)}']
        if self.profiles[profile].get('dataset')=='simulated':
            parts.append(':::{important}\nSimulated data: these figures show that every step works and how methods compare on this simulation, nothing about real images.\n:::')
        if self.profiles[profile]: parts.append(f'Every setting: [profiles/{profile}.yml](profiles/{profile}.yml). To run it: `make reproduce PROFILE={profile}`.')
        for name in shown:
            parts += [f'## {self.known(name).get("title", title(name).capitalize())}', self.figure(profile, name)]
            talk = f'figures/{profile}/talk_and_ours.csv'
            if name=='label_efficiency' and (self.root/talk).exists(): parts.append(self.beside_the_talk(talk))
        tables = [p for p in glob(self.root, f'figures/{profile}/*.csv') if self.rows(p)]
        if tables: parts.append('## Tables')
        for p in tables: parts.append(f'[{Path(p).name}]({p}): {self.known(stem(p)).get("table", title(p))}.\n\n{self.folded(p)}')
        if runs := self.runs(profile): parts += ['## Notebooks as they ran', '\n'.join(f'- [{title(n)}]({n})' for n in runs)]
        self.write(page, '\n\n'.join(p for p in parts if p))
        if (readme := self.root/f'figures/{profile}/README.md').exists():
            said = re.sub(r'^(#+) ', r'#\1 ', readme.read_text(encoding='utf-8'), flags=re.M)
            text = (self.out/page).read_text(encoding='utf-8')
            first = re.search(r'^## (Tables|Notebooks as they ran)$', text, re.M)
            at = first.start() if first else len(text)
            (self.out/page).write_text(text[:at]+self.myst(said, f'figures/{profile}/README.md', page)+'\n\n'+text[at:], encoding='utf-8')

    # ---- pages written by hand -------------------------------------------------------------------------------------------

    def by_hand(self, path):
        """docs/*.md: a line that ends in `<!-- if FILE -->` stays if the file is there, one in `<!-- unless FILE -->` if it is not;
        `<!-- runs NAME... -->` becomes the list of profiles that have a figure or table of such a name."""
        def line(text):
            if m := re.search(r'\s*<!-- (if|unless) (\S+) -->$', text): return text[:m.start()] if bool(glob(self.root, m[2]))==(m[1]=='if') else None
            if m := re.fullmatch(r'<!-- runs (.+) -->', text): return self.where(m[1].split())
            return text
        said = (self.root/path).read_text(encoding='utf-8').splitlines()
        return '\n'.join(s for s in map(line, said) if s is not None)

    def where(self, patterns):
        "The profiles that have such a figure or table."
        found = {p: [n for n in dict.fromkeys(map(stem, glob(self.root, f'figures/{p}/*.csv'))) if any(fnmatch(n, g) for g in patterns)] for p in self.profiles}
        lines = [f'- [{p}](../figures/{p}): {self.about(p)} '+', '.join(f'[{title(n)}](../figures/{p}/{n}.csv)' for n in names) for p,names in found.items() if names]
        return '\n'.join(lines) or '*No committed run answers this yet.*'

    def written(self):
        sections = ['nbs/index.ipynb', *(['tutorials.md'] if self.tutorials else []), 'paper.md', 'library.md', 'experiments.md', 'CONTRIBUTING.md']
        names = {'nbs/index.ipynb': 'Start', 'paper.md': 'The paper', 'CONTRIBUTING.md': 'Contribute'}
        self.write('index.md', self.by_hand('docs/index.md')+'\n\n'+self.toc('', [(names[s], s) if s in names else s for s in sections]), 'docs/index.md')
        results = self.toc('Results', [('All figures', 'results.md'), *[(p, f'figures/{p}/index.md') for p in self.profiles]])
        others = [self.toc('Data and claims', [(self.heading(p).capitalize(), p) for p in self.others])] if self.others else []
        self.write('paper.md', '\n\n'.join([self.by_hand('docs/paper.md'), results, *others]), 'docs/paper.md')
        self.write('CONTRIBUTING.md', (self.root/'CONTRIBUTING.md').read_text(encoding='utf-8'), 'CONTRIBUTING.md')

    def stage(self):
        "Write every page for Sphinx."
        for part in self.notebooks,self.reference,self.library,self.tutorial_list,self.experiments,self.results,self.written: part()

def build(out, root=ROOT):
    "Build the site of the repository `root` into `out`; whether it went without a warning."
    from sphinx.cmd.build import main as sphinx
    with tempfile.TemporaryDirectory() as tmp:
        stage = Path(tmp)/'pages'
        stage.mkdir()
        Site(root, stage).stage()
        return sphinx(['-b','html','-q','-W','--keep-going','-c',str(root/'docs'),'-d',str(Path(tmp)/'doctrees'),str(stage),str(out)])==0

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=ROOT/'_docs', help='default: _docs/')
    args = parser.parse_args()
    if args.out.exists() and any(args.out.iterdir()) and not (args.out/'.buildinfo').exists():
        sys.exit(f'{args.out} holds other things than a site made by Sphinx: name another folder, or remove it')
    shutil.rmtree(args.out, ignore_errors=True)
    try: done = build(args.out)
    except ValueError as e: sys.exit(str(e))
    if not done: sys.exit('The site has errors: see above.')
    print(f'{args.out}/index.html')

if __name__=='__main__': main()
