"""Write README.md from nbs/index.ipynb (nbdev's own `nbdev_readme` needs Quarto).

    python tools/readme.py
"""
import re
from pathlib import Path
from posixpath import normpath
from execnb.nbio import read_nb

ROOT = Path(__file__).resolve().parent.parent
INDEX = ROOT/'nbs'/'index.ipynb'
README = ROOT/'README.md'
NOTE = '<!-- Written by tools/readme.py from nbs/index.ipynb: edit that. -->'

def from_root(markdown):
    "Links relative to nbs/ become links relative to the repository."
    def link(m): return f'({normpath("nbs/"+m[1])})'
    return re.sub(r'(?<=\])\((?!\w+:|#)([^)\s]+)\)', link, markdown)

def shown(output):
    "One output of a cell as an indented block."
    if 'image/png' in output.get('data', {}): raise ValueError('index.ipynb: show figures as Markdown images, not as outputs')
    text = ''.join(output.get('text') or output['data']['text/plain'])
    return '\n'.join(f'    {line}'.rstrip() for line in text.rstrip().splitlines())

def blocks(cell):
    "The Markdown blocks of one cell; hidden cells have none."
    source = cell.source.strip()
    if cell.cell_type=='markdown': return [from_root(source)]
    if not source or re.match(r'#\|\s*hide\b', source): return []
    return [f'```python\n{source}\n```']+[shown(o) for o in cell.outputs]

def readme(path=INDEX):
    "The text of README.md."
    title,*rest = [b for cell in read_nb(path).cells for b in blocks(cell)]
    return '\n\n'.join([title, NOTE, *rest])+'\n'

if __name__=='__main__': README.write_text(readme(), encoding='utf-8')
