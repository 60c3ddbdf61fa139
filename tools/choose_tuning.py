"""Which learning rate and how many steps? Train an arm with each, on the training labels of a profile, and say how well it does on validation patches.

    python tools/choose_tuning.py previous_work ssl --rates 1e-4 3e-4 1e-3 --steps 500 2000 --fractions 1 10 100
    python tools/choose_tuning.py previous_work scratch --rates 1e-3 --steps 500 --fractions 100 --window 64
    python tools/choose_tuning.py previous_work standin --rates 1e-4 3e-4 --steps 60 --fractions 10 --frozen-batchnorm

Test patches are not touched. Rows are added to figures/<profile>/tuning.csv, with the commit they were made at.
The encoders must be there: snakemake --cores 2 --config profile=previous_work --until pretrain
"""
import argparse
from pathlib import Path
import numpy as np, pandas as pd
from ssl_fusion.paper.config import LabelEfficiency, load_profile, prefixed
from ssl_fusion.learn.downstream import TASK_METRIC
from ssl_fusion.paper.grid import arm_features, run_probe, run_tuning, set_up
from ssl_fusion.learn.metrics import score
from ssl_fusion.learn.records import git_commit

def bench_of(P, name, initialisation, split, rate, steps, window, frozen):
    "What the pipeline would train this arm with by default, but for rate and steps."
    runs,(source,sensors) = f'runs/{name}',next(iter(P.sensors.items()))
    encoders = {s: f'{runs}/pretrain/{split}/{s}/encoder.safetensors' for s in sensors} if initialisation=='ssl' else {}
    tuning = {f'ft_{k}': v for k,v in prefixed(P, 'ft_').items()} | dict(ft_lr=rate, scratch_lr=rate, ft_min_steps=steps, ft_max_steps=steps, ft_frozen_batchnorm=frozen)
    return set_up(LabelEfficiency(store=P.store, split=f'{runs}/splits/{split}.parquet', split_label=split, labels=f'{runs}/splits/labels/{split}', out=f'{runs}/tuning', cache=f'{runs}/embeddings', source=source,
        sensors=sensors, encoders=encoders, arms=[], fractions=P.fractions, seeds=P.seeds, tuned_seeds=P.tuned_seeds, backbone=P.backbone, window=window, stop_patches=P.stop_patches, bootstrap=0, **tuning))

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('profile')
    parser.add_argument('initialisation', help="'scratch', 'ssl', 'imagenet', 'standin', ...")
    parser.add_argument('--rates', nargs='+', type=float, required=True)
    parser.add_argument('--steps', nargs='+', type=int, required=True)
    parser.add_argument('--fractions', nargs='+', type=float, required=True)
    parser.add_argument('--split', default='random')
    parser.add_argument('--window', type=int, help="of untrained encoders, in pixels; the profile's if absent")
    parser.add_argument('--frozen-batchnorm', action='store_true', help="keep BatchNorm's statistics")
    a = parser.parse_args()
    P,table = load_profile(a.profile),Path(f'figures/{a.profile}/tuning.csv')
    window = a.window or P.window
    for rate,steps,fraction in ((r, s, f) for f in a.fractions for s in a.steps for r in a.rates):
        bench = bench_of(P, a.profile, a.initialisation, a.split, rate, steps, window, a.frozen_batchnorm)
        seed,store = P.tuned_seeds[0],bench.store
        labelled,probe,start = np.sort(bench.labels[seed][fraction]),None,None
        if a.initialisation!='scratch':
            z = arm_features(bench, a.initialisation)
            probe = run_probe(bench, a.initialisation, z, labelled).value
            start = round(score(TASK_METRIC[store.task], probe(z[bench.stop]).numpy(), store.labels[bench.stop]), 4)
        best = run_tuning(bench, a.initialisation, labelled, seed, probe)
        row = dict(initialisation=a.initialisation, split=a.split, fraction=fraction, lr=rate, steps=steps, batch_size=P.ft_batch_size, window=window, area=str(P.ft_area), frozen_batchnorm=a.frozen_batchnorm,
                   best_step=best.setting, validation=round(best.score, 4), probe=start, validation_patches=len(bench.stop), git=git_commit('ssl_fusion'))
        print(row, flush=True)
        pd.DataFrame([row]).to_csv(table, mode='a', header=not table.exists(), index=False)

if __name__=='__main__': main()
