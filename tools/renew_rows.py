"""Renew rows of a profile's table of label efficiency from new records, and draw its figure from the table.

    python tools/renew_rows.py PROFILE FOLDER_OF_RECORDS [--split NAME]

Rows of other arms stay as they are. For floors alone, run label efficiency with
`--configfile` {profile: eurosat, set: {arms: [[statistics, floor], [random, floor]]}, runs: runs/floors, figures: ...}.
"""
import argparse
from pathlib import Path
from redraw import redraw
from ssl_fusion.learn.records import load_records
from ssl_fusion.paper.figures import label_efficiency, load_table, replace_rows, save_table

ROOT = Path(__file__).resolve().parent.parent

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('profile')
    parser.add_argument('records', type=Path, help='folder of the new records')
    parser.add_argument('--split', help='of the records, those of this split alone')
    args = parser.parse_args()
    path = ROOT/'figures'/args.profile/'label_efficiency.csv'
    table,records = load_table(path),load_records(args.records)
    if args.split: records = records[records.split==args.split]
    save_table(replace_rows(table, label_efficiency(records, table.metric.iloc[0])), path.with_suffix(''))
    for drawn in redraw(path.parent): print(drawn.relative_to(ROOT))

if __name__=='__main__': main()
