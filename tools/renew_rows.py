"""Renew rows of a profile's table of label efficiency from records that are new, and draw its figure from the table.

    python tools/renew_rows.py eurosat runs/floors/eurosat/label_efficiency

Rows of other arms stay as they are; an arm that the table does not have is an error. The remark of the caption is the kept 04_report's."""
import argparse, ast, json
from pathlib import Path
import pandas as pd
from ssl_fusion.records import load_records
from ssl_fusion.report import label_efficiency, load_talk, plot_label_efficiency, renewed, save_figure

def remark_of(figures):
    "The remark that the kept report ran with."
    cells = json.loads((figures/'notebooks/04_report.ipynb').read_text())['cells']
    source = ''.join(next(c['source'] for c in cells if 'injected-parameters' in c['metadata'].get('tags', ())))
    given = {n.targets[0].id: ast.literal_eval(n.value) for n in ast.parse(source).body if isinstance(n, ast.Assign)}
    return given.get('remark', '')

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('profile')
    parser.add_argument('records', help='folder of the new records')
    parser.add_argument('--split', help='of the records, those of this split alone')
    a = parser.parse_args()
    figures = Path('figures')/a.profile
    table = pd.read_csv(figures/'label_efficiency.csv', keep_default_na=False, na_values={c: [''] for c in ('mean','lo','hi')})
    fresh = label_efficiency(load_records(Path(a.records)), table.metric.iloc[0])
    table = renewed(table, fresh[fresh.split==a.split] if a.split else fresh)
    figure = plot_label_efficiency(table, load_talk('data/talk'), title=f'Label efficiency ({a.profile})', remark=remark_of(figures))
    save_figure(figure, table, figures/'label_efficiency')

if __name__=='__main__': main()
