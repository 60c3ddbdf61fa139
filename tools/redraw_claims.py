"""Draw committed figures of claims again from the tables beside them, without records: python tools/redraw_claims.py [NAME ...]

A name is a profile or 'overview'; without one, all of them. No table is changed."""
import sys
from pathlib import Path
from ssl_fusion.paper.claims import plot_claims, read_cells
from ssl_fusion.paper.figures import save_figure
from ssl_fusion.paper.overview import plot_overview, seeds_of

FIGURES = Path(__file__).resolve().parents[1]/'figures'

def redraw_claims(folder): # A profile's figures
    "Draw claims_1, claims_2, ... and gain_under_clouds of a profile; return the files."
    paths = [*sorted(folder.glob('claims_[0-9]*.csv')), *folder.glob('gain_under_clouds.csv')]
    tables = {p: cells for p in paths if len(cells := read_cells(p))}
    return [f for p,cells in tables.items() for f in save_figure(plot_claims(cells), cells, p.with_suffix(''))]

def redraw_overview(figures): # A folder a profile, and overview.csv
    "Draw the overview of all profiles; return the files."
    table = read_cells(figures/'overview.csv')
    return save_figure(plot_overview(table, seeds_of(figures)), table, figures/'overview')

if __name__=='__main__':
    names = sys.argv[1:] or [*sorted(p.parent.name for p in FIGURES.glob('*/claims.csv')), 'overview']
    for name in names: print(*(redraw_overview(FIGURES) if name=='overview' else redraw_claims(FIGURES/name)), sep='\n')
