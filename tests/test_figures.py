"Committed figures: what their tables give, no caption or key inside, and a caption that says what they show."
import io, re
from pathlib import Path
import numpy as np, pytest
from PIL import Image
from redraw import DRAWINGS, describe, redraw
from ssl_fusion.paper.figures import WIDTH, load_table, save_table

ROOT = Path(__file__).resolve().parent.parent
PROFILES = sorted(p.parent for p in (ROOT/'figures').glob('*/label_efficiency.csv') if p.parent.name!='smoke')
FIGURES = [folder/name for folder in PROFILES for name in DRAWINGS if (folder/f'{name}.csv').exists()]

def each(paths): return pytest.mark.parametrize('path', paths, ids=lambda p: str(p.relative_to(ROOT/'figures')))
def pixels(path): return np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert('RGB'), float)
def texts(path): return re.findall(r'<!-- (.*?) -->', path.read_text(encoding='utf-8'), re.S)

@each(FIGURES)
def test_a_table_read_back_is_saved_as_the_same_file(path, tmp_path):
    saved = save_table(load_table(f'{path}.csv'), tmp_path/'again')
    assert saved.read_bytes()==Path(f'{path}.csv').read_bytes()

@each(PROFILES)
def test_committed_figures_are_what_their_tables_give(path, tmp_path):
    for new in redraw(path, tmp_path):
        assert (path/new.name).exists(), 'python tools/redraw.py'
        if new.suffix=='.svg': assert texts(path/new.name)==texts(new), f'{new.name}: python tools/redraw.py'
        else:
            a,b = pixels(path/new.name),pixels(new)
            assert a.shape==b.shape and (abs(a-b).max(axis=2)>32).mean()<.01, f'{new.name}: python tools/redraw.py'

@each(FIGURES)
def test_a_figure_holds_no_address_no_key_no_caption_and_says_simulated_once(path):
    said = texts(Path(f'{path}.svg'))
    simulated = load_table(path.parent/'label_efficiency.csv').simulated.any()
    assert said.count('SIMULATED')==simulated and not [t for t in said if 'simulated patches' in t.lower()]
    assert not [t for t in said if re.search(r'https?:|not run|\w_\w|\b\w+=|seed', t) or f'({path.parent.name})' in t]
    assert max(map(len, said))<60 and pixels(Path(f'{path}.png')).shape[1]==150*WIDTH

@each(FIGURES)
def test_a_caption_says_what_a_figure_shows(path):
    said = describe(path.parent, path.name)
    table = load_table(f'{path}.csv')
    if path.name=='pretraining': assert 'the training part of each split' in said and 'Dead features at the end' in said
    else:
        assert all(f'split: {s}' in said or f', {s}' in said for s in table.split.unique())
        assert re.search(r'\d seeds?, 95 % interval: (t over seeds|bootstrap)', said)
        assert re.search('accuracy|average precision', said)
        assert ('not run: ' in said)==(table.status=='not run').any()
    simulated = load_table(path.parent/'label_efficiency.csv').simulated.any()
    assert 'http' not in said and said.startswith('SIMULATED')==simulated

def test_a_figure_that_is_not_drawn_here_has_no_such_caption(): assert describe(PROFILES[0], 'claims_1')==''
