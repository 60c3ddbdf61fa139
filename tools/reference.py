"""What the library's modules say of themselves, read from their source without importing them.

`read_module` finds the public names of an exported module, with the comments behind their parameters; `module_page` writes
them as one MyST page, a table of parameters for each.
"""
import ast, io, json, re, tokenize
from dataclasses import dataclass, field

@dataclass
class Parameter:
    "A row of a table."
    name:str
    type:str = ''
    default:str = ''
    comment:str = ''

@dataclass
class Entry:
    "A public name of a module."
    name:str # `Class.method` for methods
    kind:str # Sphinx's: 'function', 'class', 'method', 'attribute' or 'data'
    line:int # First line in the module
    end:int # Last line
    signature:str = ''
    doc:str = ''
    parameters:list = field(default_factory=list)
    members:list = field(default_factory=list)
    cell:str = '' # Of the notebook, where it is defined

@dataclass
class Module:
    "An exported module."
    name:str # With its wing, such as 'learn.losses'
    doc:str
    entries:list
    notebook:str # Path below nbs/

    @property
    def file(self)->str: # Path below the package
        return self.name.replace('.', '/')+'.py'

# ---- reading ---------------------------------------------------------------------------------------------------------

CELL = re.compile(r'^# %% (?:\.\./)+nbs/(\S+\.ipynb) #(\w+)$')

def comments(
    source:str, # Python
)->dict: # line -> what its comment says
    "The comments of a source, by line."
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip('#').strip() for t in tokens if t.type==tokenize.COMMENT}

def text(node): return '' if node is None else ast.get_source_segment(node.source, node)

def short(value, limit=60):
    "A default or value as it is written, when it fits."
    return value if len(value)<=limit and '\n' not in value else '…'

def arguments(function):
    "The arguments of a function with their defaults, in order, and the names as a signature shows them."
    a = function.args
    plain = a.posonlyargs+a.args
    pairs = list(zip(plain, [None]*(len(plain)-len(a.defaults))+a.defaults))
    names = [(arg.arg, default) for arg,default in pairs]
    if a.vararg: pairs.append((a.vararg, None)); names.append((f'*{a.vararg.arg}', None))
    elif a.kwonlyargs: names.append(('*', None))
    pairs += zip(a.kwonlyargs, a.kw_defaults)
    names += [(arg.arg, default) for arg,default in zip(a.kwonlyargs, a.kw_defaults)]
    if a.kwarg: pairs.append((a.kwarg, None)); names.append((f'**{a.kwarg.arg}', None))
    return pairs,names

def signature(names, method=False):
    "`(a, b=1)`, without types: the table has them."
    return '('+', '.join(n if d is None else f'{n}={text(d)}' for n,d in names[method:])+')'

def function_entry(node, notes, name=None):
    "A function or method; the comment on a line belongs to the last parameter that ends there."
    method = name is not None and 'staticmethod' not in map(text, node.decorator_list)
    pairs,names = arguments(node)
    ends = [(max(a.end_lineno, d.end_lineno if d else 0), Parameter(a.arg, text(a.annotation), '' if d is None else text(d))) for a,d in pairs]
    if node.returns: ends.append((node.returns.end_lineno, Parameter('returns', text(node.returns))))
    for line,p in {line: p for line,p in ends}.items(): p.comment = notes.get(line, '')
    rows = [p for _,p in ends][method:]
    start = min([node.lineno, *[d.lineno for d in node.decorator_list]])
    doc,kind = ast.get_docstring(node) or '','function' if name is None else 'method'
    if 'property' in map(text, node.decorator_list): return Entry(name, 'attribute', start, node.end_lineno, '', doc, rows)
    return Entry(name or node.name, kind, start, node.end_lineno, signature(names, method), doc, rows)

def class_entry(node, notes):
    "A class: its fields or the parameters of `__init__`, and its public methods."
    functions = [n for n in node.body if isinstance(n, ast.FunctionDef)]
    start = min([node.lineno, *[d.lineno for d in node.decorator_list]])
    entry = Entry(node.name, 'class', start, node.end_lineno, '', ast.get_docstring(node) or '')
    made = [f for f in functions if f.name=='__init__']
    if made:
        init = function_entry(made[0], notes, '__init__')
        entry.signature,entry.parameters = init.signature,[p for p in init.parameters if p.name!='returns']
    else:
        fields = [n for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
        entry.parameters = [Parameter(n.target.id, text(n.annotation), text(n.value), notes.get(n.end_lineno, '')) for n in fields]
    entry.members = [function_entry(f, notes, f'{node.name}.{f.name}') for f in functions
                     if f.name=='__call__' or not f.name.startswith('_')]
    return entry

def read_module(
    name:str, # Of the module, with its wing
    source:str, # Its text
)->Module: # Entries in the order of `__all__`
    "The public names of a module that nbdev exported."
    tree,notes = ast.parse(source),comments(source)
    for node in ast.walk(tree): node.source = source
    cells = {i: CELL.match(line) for i,line in enumerate(source.splitlines(), 1) if CELL.match(line)}
    found,public,patches = {},[],[]
    for node in tree.body:
        if isinstance(node, ast.ClassDef): found[node.name] = class_entry(node, notes)
        elif isinstance(node, ast.FunctionDef) and 'patch' in map(text, node.decorator_list): patches.append(node)
        elif isinstance(node, ast.FunctionDef): found[node.name] = function_entry(node, notes)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
            if names==['__all__']: public = ast.literal_eval(node.value)
            value = short(text(node.value)) if len(names)==1 else ''
            for n in names: found[n] = Entry(n, 'data', node.lineno, node.end_lineno, value, notes.get(node.lineno, ''))
    for node in patches:
        owner = text(node.args.args[0].annotation)
        found[owner].members.append(function_entry(node, notes, f'{owner}.{node.name}'))
    if missing := [n for n in public if n not in found]: raise ValueError(f'{name}: in __all__ but not defined: {", ".join(missing)}')
    entries = [found[n] for n in public]
    for e in entries: e.cell = max([(i, m[2]) for i,m in cells.items() if i<e.line], default=(0, ''))[1]
    return Module(name, ast.get_docstring(tree) or '', entries, next((m[1] for m in cells.values()), ''))

def symbols(
    modules:list, # Of `Module`
    package:str, # Their package
)->dict: # name -> {module: full name}
    "What a name in backticks may mean."
    found = {f'{package}.{m.name}': {m.name: f'{package}.{m.name}'} for m in modules}
    for m in modules:
        for e in m.entries:
            for n in [e.name, *[x.name for x in e.members]]:
                for said in n,f'{m.name}.{n}',f'{package}.{m.name}.{n}': found.setdefault(said, {})[m.name] = f'{package}.{m.name}.{n}'
    return found

# ---- writing ---------------------------------------------------------------------------------------------------------

def cell_text(s): return s.replace('|', '\\|').replace('\n', ' ')
def as_code(s): return f'`{cell_text(s)}`' if s else ''

def table(parameters, first='parameter'):
    "A Markdown table; nothing when there is nothing to say."
    if not parameters: return ''
    rows = [(f'*{p.name}*' if p.name=='returns' else f'`{p.name}`', as_code(p.type), as_code(p.default), cell_text(p.comment)) for p in parameters]
    lines = [f'| {first} | type | default | |', '|---|---|---|---|', *[f'| {" | ".join(r)} |' for r in rows]]
    return '\n'.join(lines)

def entry_text(entry, module, linked, url, depth=4):
    "One entry as a directive of Sphinx's Python domain."
    fence = '`'*(depth+2)
    head = f'{fence}{{py:{entry.kind}}} {entry.name}{"" if entry.kind in ("data","attribute") else entry.signature}'
    if entry.kind=='data' and entry.signature: head += f'\n:value: {json.dumps(entry.signature)}'
    links = [f'[source]({url}#L{entry.line}-L{entry.end})']
    if entry.cell: links.append(f'[notebook](#{module.name}-{entry.cell})')
    where = ' · '.join(links)
    first = 'field' if entry.kind=='class' and not any(p.name=='self' for p in entry.parameters) and not entry.signature else 'parameter'
    body = [linked(entry.doc), table([Parameter(p.name, p.type, p.default, linked(p.comment)) for p in entry.parameters], first)]
    body.append(f':::{{container}} where\n{where}\n:::')
    body += [entry_text(m, module, linked, url, depth-1) for m in entry.members]
    return '\n'.join([head, '', '\n\n'.join(b for b in body if b), fence])

def module_page(
    module:Module,
    package:str, # Its package
    linked, # Markdown -> Markdown with links from names
    url:str, # Of the module's source
)->str: # MyST
    "The reference of one module."
    title = f'# {package}.{module.name}\n\n> {linked(module.doc)}\n\n:::{{container}} where\n[notebook](../nbs/{module.notebook}) · [source]({url})\n:::'
    entries = [entry_text(e, module, linked, url) for e in module.entries]
    return '\n\n'.join([title, f'```{{py:module}} {package}.{module.name}\n```', *entries])+'\n'
