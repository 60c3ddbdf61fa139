"""Draw committed figures again from the tables beside them, without any record. No table is written.

    python tools/redraw.py                  every profile in figures/
    python tools/redraw.py PROFILE ...      these

Figures of claims are not drawn here. To renew some rows of a table first: `load_table`, `replace_rows` and `save_table`
of `ssl_fusion.paper.figures`.
"""
import argparse, sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from ssl_fusion.paper.figures import (dataset_label, efficiency_caption, load_table, load_talk, plot_label_efficiency,
                                      plot_pretraining, pretraining_caption, save_picture)
from ssl_fusion.paper.fusion_figures import (cloud_caption, coverage_caption, load_cloud_talk, missing_caption,
                                             plot_clouds, plot_coverage, plot_missing, plot_variants, variant_caption)

ROOT = Path(__file__).resolve().parent.parent

class Drawing(NamedTuple):
    "How a figure comes from its table and the folder that it is in."
    plot: Callable
    caption: Callable

@lru_cache
def talk(): return load_talk(ROOT/'data/talk')

@lru_cache
def cloud_talk(): return load_cloud_talk(ROOT/'data/talk/clouds_and_shadows.csv')

def runs(folder):
    "What pre-trainings were for: the table of label efficiency, which names dataset and simulation."
    return load_table(folder/'label_efficiency.csv')

def draw_pretraining(table, folder): return plot_pretraining(table, simulated=bool(runs(folder).simulated.any()))

def describe_pretraining(table, folder):
    data = f'{dataset_label(runs(folder))}; the training part of each split, without labels.'
    return pretraining_caption(table, data)

DRAWINGS = dict(
    label_efficiency=Drawing(lambda t, _: plot_label_efficiency(t, talk()), lambda t, _: efficiency_caption(t, talk())),
    pretraining=Drawing(draw_pretraining, describe_pretraining),
    fusion_variants=Drawing(lambda t, _: plot_variants(t), lambda t, _: variant_caption(t)),
    clouds_and_shadows=Drawing(lambda t, _: plot_clouds(t, cloud_talk()), lambda t, _: cloud_caption(t, True)),
    coverage=Drawing(lambda t, _: plot_coverage(t), lambda t, _: coverage_caption(t)),
    missing_sensor=Drawing(lambda t, _: plot_missing(t), lambda t, _: missing_caption(t)))

def describe(folder, name):
    "The text under a figure, from its table; '' for one that is not drawn here."
    path = Path(folder)/f'{name}.csv'
    if name not in DRAWINGS or not path.exists(): return ''
    return DRAWINGS[name].caption(load_table(path), path.parent)

def redraw(folder, out=None):
    "Draw every figure whose table is in a folder, into it or into `out`."
    folder = Path(folder)
    tables = {name: load_table(folder/f'{name}.csv') for name in DRAWINGS if (folder/f'{name}.csv').exists()}
    figures = {name: DRAWINGS[name].plot(table, folder) for name,table in tables.items()}
    return [path for name,figure in figures.items() for path in save_picture(figure, (out or folder)/name)]

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('profiles', nargs='*', metavar='PROFILE', help='default: all in figures/')
    profiles = parser.parse_args().profiles or sorted(p.name for p in (ROOT/'figures').iterdir() if p.is_dir())
    for profile in profiles:
        paths = redraw(ROOT/'figures'/profile)
        if not paths: sys.exit(f'figures/{profile} has none of the tables {", ".join(DRAWINGS)}')
        for path in paths: print(path.relative_to(ROOT))

if __name__=='__main__': main()
