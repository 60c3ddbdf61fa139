"Settings of Sphinx for tools/docs.py."
from configparser import ConfigParser
from pathlib import Path
from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.errors import SphinxError
from sphinx.util.math import get_node_equation_number

ini = ConfigParser(delimiters=['='])
ini.read(Path(__file__).resolve().parent.parent/'settings.ini', encoding='utf-8')
cfg = ini['DEFAULT']

project,author,version,copyright = cfg['title'],cfg['author'],cfg['version'],cfg['copyright']
extensions = ['myst_nb','sphinx_copybutton']
nb_execution_mode = 'off'
nb_merge_streams = True
myst_enable_extensions = ['dollarmath','amsmath','attrs_inline','colon_fence','deflist']
myst_heading_anchors = 4
numfig = True
highlight_language = 'none'
add_module_names = False
toc_object_entries_show_parents = 'hide'
html_theme = 'pydata_sphinx_theme'
html_title = project
html_static_path = ['static']
html_css_files = ['site.css']
html_js_files = ['site.js']
html_show_sourcelink = False
html_copy_source = False
html_context = dict(default_mode='auto')
html_sidebars = {'**': ['sidebar-nav-bs'], 'index': [], 'CONTRIBUTING': [], 'nbs/index': []}
html_theme_options = dict(
    logo=dict(text=project), navbar_align='left', header_links_before_dropdown=7, show_toc_level=2, show_nav_level=1, navigation_depth=2,
    icon_links=[dict(name='Repository', url=cfg['git_url'], icon='fa-brands fa-github')], secondary_sidebar_items=['page-toc'],
    article_header_start=[], footer_start=['copyright'], footer_end=[], back_to_top_button=False, primary_sidebar_end=[],
    pygments_light_style='a11y-high-contrast-light', pygments_dark_style='a11y-high-contrast-dark')
copybutton_selector = 'div.highlight:not(.output *) pre'

# Equations as MathML: no script, no font, no request.

def mathml(node, block):
    try: return tex2mathml(node.astext(), as_block=block)
    except MathError as e: raise SphinxError(f'{node.source}: {node.astext()!r}: {e}') from e

def inline(self, node):
    self.body.append(mathml(node, False))
    raise nodes.SkipNode

def block(self, node):
    number = f'<span class="eqno">({get_node_equation_number(self, node)})</span>' if node.get('number') else ''
    anchor = f' id="{node["ids"][0]}"' if node['ids'] else ''
    self.body.append(f'<div class="equation"{anchor}>{mathml(node, True)}{number}</div>')
    raise nodes.SkipNode

def setup(app): app.add_html_math_renderer('mathml', (inline, None), (block, None))
html_math_renderer = 'mathml'
