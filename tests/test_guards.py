"""No choice sees a test patch, no rank another's, no file is executed: each guard fails when the mistake it names is made.

The test patches of a small simulated store are poisoned, in their labels or in their pixels. Whatever is fitted, chosen or measured on
training and validation patches must then be the same to the bit."""
import ast, copy, tempfile, warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
import numpy as np, pandas as pd, pytest, torch
from ssl_fusion.learn import pretrain as pretraining
from ssl_fusion.data.archives import open_archive
from ssl_fusion.learn.augment import views_for
from ssl_fusion.paper.config import FusionVariants, LabelEfficiency, PrepareData, Robustness
from ssl_fusion.learn.downstream import (AbsentClass, cached_embeddings, embed, predict)
from ssl_fusion.learn.encoders import load_encoder, save_encoder, scratch_encoder, state_digest
from ssl_fusion.paper.grid import (arm_features, encoder_of, open_bench, prepare_split, run_arm, run_grid, run_tuning,
                                    training_statistics)
from ssl_fusion.learn.metrics import evaluate
from ssl_fusion.learn.pretrain import Recipe, epoch_order, load_checkpoint, pretrain, train
from ssl_fusion.learn.records import load_record
from ssl_fusion.paper.robustness import features_of, fit_head, open_robustness, run_robustness, training_means, versions
from ssl_fusion.data.sensors import SENSORS
from ssl_fusion.use.share import SharedModel
from ssl_fusion.data.simulate import simulate
from ssl_fusion.data.splits import patch_keys, save_fractions
from ssl_fusion.data.store import Store, write_store
from ssl_fusion.paper.variants import load_variants, open_variants, run_variant, run_variants, swapped

ROOT = Path(__file__).resolve().parent.parent
ARMS = ('ssl','TL'), ('ssl','FT'), ('scratch','scratch'), ('statistics','floor'), ('random','floor'), ('prior','floor')
FINE = dict(ft_epochs=1., ft_min_steps=4, ft_max_steps=4, ft_batch_size=8, ft_lr=1e-3, scratch_lr=1e-3, ft_area=[1.,1.], stop_patches=10)

@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    "A prepared store: as many test as validation patches, some of its patches cloudy and in no part."
    at = tmp_path_factory.mktemp('guards')
    store = write_store(open_archive(simulate(at/'archive', 16, (3,3), 32, seed=3, cloudy=.2)), at/'store',
                        {'S1': ('VV','VH'), 'S2': ('B04','B03','B02')})
    prepare_split(PrepareData(dataset='simulated', data_folder='', store=str(at/'store'), out=str(at), sources={}, splits=['random'],
                              flagged='exclude', fractions=[50,100], seeds=[0], scenes=1, grid=[1,1], patch_size=32, archive_seed=0,
                              workers=1), store, 'random')
    save_encoder(scratch_encoder(SENSORS['S2'], [.1]*3, [.05]*3, 'resnet18-small', window=16), at/'ssl.safetensors',
                 patch_keys(store.index[:0])) # As if pre-trained
    return at

def shared(folder, out):
    "Parameters that all experiments have."
    return dict(store=str(folder/'store'), split=str(folder/'random.parquet'), split_label='random 60/20/20', labels=str(folder/'labels/random'),
                out=str(folder/out/'out'), encoders={}, fractions=[100], seeds=[0], backbone='resnet18-small', window=16, bootstrap=5)

def efficiency(folder, out='honest'):
    own = dict(cache=str(folder/out/'cache'), source='S2', sensors=['S2'], arms=[list(a) for a in ARMS], tuned_seeds=[0])
    cfg = LabelEfficiency(**shared(folder, out) | dict(encoders=dict(S2=str(folder/'ssl.safetensors'))), **own, **FINE)
    bench = open_bench(cfg)
    n = min(len(bench.parts[p]) for p in ('validation','test')) # As many of each, so that no count gives a mistake away
    return replace(bench, parts=bench.parts | {p: bench.parts[p][:n] for p in ('validation','test')})

def robustness(folder, out='honest'):
    own = dict(cache=str(folder/out/'cache'), sensors=dict(S1='S1dB', S2='S2'), initialisation='random', coverages=[0,50])
    return open_robustness(Robustness(**shared(folder, out), **own))

def variants(folder, out='honest', table='data/talk/variants.csv'):
    return open_variants(FusionVariants(**shared(folder, out), **FINE, variants=str(table), stands_for=dict(S1='S1dB'), tuned_seeds=[0]))

def unmet(bench):
    "Patches that no model may learn or choose from: of the test part and of none."
    return np.setdiff1d(np.arange(len(bench.store)), np.concatenate([bench.parts['train'], bench.parts['validation']]))

def poisoned(bench, *, labels=None, pixels=None):
    "The bench with labels turned over, or pixels inverted, at some positions; what it caches is its own."
    store = copy.copy(bench.store)
    store.labels,store.arrays = store.labels.copy(),{s: np.array(a) for s,a in store.arrays.items()}
    if labels is not None: store.labels[labels] = 1-store.labels[labels]
    for s,a in store.arrays.items() if pixels is not None else (): a[pixels] = a.max()-a[pixels]+a.min()
    own = dict(cache=tempfile.mkdtemp()) if hasattr(bench.cfg, 'cache') else {}
    return replace(bench, cfg=bench.cfg.model_copy(update=own), store=store, probes={})

def outcome(bench, initialisation, strategy):
    "Scores of the test patches and what was chosen."
    z = None if initialisation in ('scratch','prior') else arm_features(bench, initialisation)
    return run_arm(bench, initialisation, strategy, np.sort(bench.labels[0][100]), 0, z)

def results(bench, run):
    "What an experiment leaves: file name -> prediction file as it is; record name -> record."
    records = {p.name: load_record(p) for p in run(bench)}
    return {p.name: pd.read_parquet(p) for p in sorted(Path(bench.cfg.out).glob('predictions/*'))}, \
           {name: r for name,r in records.items() if r.status=='ok'}

def assert_same_but_for_metrics(honest, bad):
    "Predictions to the bit and choices are the same; what was measured on poisoned labels is not."
    assert honest[0].keys()==bad[0].keys() and honest[1].keys()==bad[1].keys() and honest[1]
    for name,table in honest[0].items(): pd.testing.assert_frame_equal(table, bad[0][name], check_exact=True, obj=f'predictions of {name}')
    for name,r in honest[1].items():
        assert r.config.get('chosen')==bad[1][name].config.get('chosen'), f'{name}: chosen on test patches'
        assert r.metrics!=bad[1][name].metrics, f'{name}: metrics are not those of the test labels'

@pytest.mark.parametrize('arm', ARMS, ids=' '.join)
def test_an_arm_chooses_without_the_labels_of_test_patches(folder, arm):
    honest = efficiency(folder)
    (scores,chosen),(scores_,chosen_) = (outcome(b, *arm) for b in (honest, poisoned(honest, labels=unmet(honest))))
    assert chosen==chosen_, 'penalty or step chosen on test labels'
    np.testing.assert_array_equal(scores, scores_)

@pytest.mark.parametrize('arm', ARMS[:-1], ids=' '.join)
def test_an_arm_chooses_without_the_pixels_of_test_patches_and_predicts_them(folder, arm):
    honest,bad = efficiency(folder),efficiency(folder, 'inverted')
    (scores,chosen),(scores_,chosen_) = outcome(honest, *arm),outcome(poisoned(bad, pixels=unmet(bad)), *arm)
    assert chosen==chosen_, 'pixels of test patches decide a penalty, a step or what an encoder expects'
    assert scores.shape==(len(honest.parts['test']), len(honest.store.classes))
    assert (scores!=scores_).any(1).mean()>.9, 'the scores are not those of the test patches'

@pytest.mark.parametrize('arm', ARMS[:-1], ids=' '.join)
def test_the_guards_see_a_choice(folder, arm):
    "The same poison over validation patches is noticed."
    honest = efficiency(folder)
    assert outcome(honest, *arm)[1]!=outcome(poisoned(honest, labels=honest.parts['validation']), *arm)[1]

def test_the_grid_records_the_test_patches(folder):
    honest,bad = efficiency(folder, 'grid'),efficiency(folder, 'grid_turned')
    found = results(honest, run_grid)
    assert_same_but_for_metrics(found, results(poisoned(bad, labels=unmet(bad)), run_grid))
    test,store = honest.parts['test'],honest.store
    for name,table in found[0].items():
        assert table.patch_id.tolist()==store.index.patch_id.iloc[test].tolist(), f'{name}: not the test patches'
        scores = table[list(store.classes)].to_numpy() if set(store.classes)<=set(table) else None
        if scores is not None: assert evaluate(scores, store.labels[test], store.task, store.classes)==found[1][f'{Path(name).stem}.json'].metrics

def test_bands_are_measured_on_training_patches_alone(folder):
    bench = efficiency(folder)
    rest = np.setdiff1d(np.arange(len(bench.store)), bench.parts['train'])
    for sensor in (SENSORS['S1dB'], SENSORS['S2']):
        for mine,theirs in zip(training_statistics(bench, sensor), training_statistics(poisoned(bench, pixels=rest), sensor)):
            assert torch.equal(mine, theirs), 'band statistics of patches beyond the training part'
        assert not torch.equal(mine, training_statistics(poisoned(bench, pixels=bench.parts['train']), sensor)[1])
        for how in 'random','scratch':
            assert state_digest(encoder_of(bench, sensor, how, 0))==state_digest(encoder_of(poisoned(bench, pixels=rest), sensor, how, 0))

def test_labels_and_stopping_are_drawn_from_their_parts(folder):
    bench = efficiency(folder)
    parts = [set(bench.parts[p].tolist()) for p in ('train','validation','test')]
    assert sum(map(len, parts))==len(set.union(*parts)), 'a patch is in two parts'
    assert set(bench.stop)<=parts[1] and len(set(bench.stop))==bench.cfg.stop_patches
    assert all(set(at)<=parts[0] for drawn in bench.labels.values() for at in drawn.values())

@pytest.mark.parametrize('part', ['validation','test'])
def test_labels_of_another_part_are_refused(folder, part, tmp_path):
    bench = efficiency(folder)
    drawn = {f: np.append(at[1:], bench.parts[part][0]) for f,at in bench.labels[0].items()}
    save_fractions(tmp_path/'seed0.parquet', bench.store.index, drawn)
    with pytest.raises(ValueError, match='seed0.parquet.* 1 of the .* not in the training part'):
        open_bench(bench.cfg.model_copy(update=dict(labels=str(tmp_path))))

def test_robustness_chooses_without_test_patches(folder):
    honest,bad = robustness(folder, 'clouds'),robustness(folder, 'clouds_turned')
    assert_same_but_for_metrics(results(honest, run_robustness), results(poisoned(bad, labels=unmet(bad)), run_robustness))

@pytest.mark.parametrize('name', ['','met clouds','modality dropout'])
@pytest.mark.parametrize('initialisation', ['random','statistics'])
def test_heads_under_clouds_are_fitted_without_test_patches(folder, initialisation, name):
    honest,bad = robustness(folder),robustness(folder, 'inverted')
    heads = []
    for bench in honest,poisoned(bad, pixels=unmet(bad)):
        f = features_of(bench, initialisation)
        heads.append((training_means(bench, f.whole), fit_head(bench, versions(bench, f, name), ('S1','S2'), np.sort(bench.labels[0][100]))))
    for s,mean in heads[0][0].items(): np.testing.assert_array_equal(mean, heads[1][0][s], f'the mean of {s} that stands in for a missing sensor')
    assert heads[0][1][1:]==heads[1][1][1:] and torch.equal(heads[0][1].value.weight, heads[1][1].value.weight)

def test_variants_choose_without_test_patches(folder):
    rows = load_variants(ROOT/'data/talk/variants.csv')
    join = dict(sensors=rows.sensors.str.join('+'), initialisation=rows.initialisation.str.join('+'))
    rows.assign(**join).query('experiment=="d" or family=="stand-in"').assign(initialisation='scratch+scratch')[:1].to_csv(folder/'one.csv', index=False)
    honest,bad = (variants(folder, out, folder/'one.csv') for out in ('rows','rows_turned'))
    assert_same_but_for_metrics(results(honest, run_variants), results(poisoned(bad, labels=unmet(bad)), run_variants))

@pytest.mark.parametrize('poison', ['labels','pixels'])
def test_a_variant_that_begins_with_a_probe_chooses_without_test_patches(folder, poison):
    bench = variants(folder)
    row = next(load_variants(ROOT/'data/talk/variants.csv').query('experiment=="d"').itertuples())
    row = swapped(row, bench.cfg.stands_for)._replace(initialisation=['random','random'])
    best = [run_variant(b, row, np.sort(b.labels[0][100]), 0) for b in (bench, poisoned(bench, **{poison: unmet(bench)}))]
    assert best[0][1:]==best[1][1:] and state_digest(best[0].value)==state_digest(best[1].value)

def test_predicting_teaches_nothing(folder):
    "Neither weights nor BatchNorm's statistics move, and a patch's score depends on no other patch."
    bench = efficiency(folder)
    best = run_tuning(bench, 'scratch', np.sort(bench.labels[0][100]), 0)
    net,test,before = best.value,bench.parts['test'],state_digest(best.value)
    together = predict(net, bench.store, net.trunk.sensors, test)
    alone = np.concatenate([predict(net, bench.store, net.trunk.sensors, [i]) for i in test])
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert state_digest(net)==before

def test_pre_training_sees_its_own_patches_alone(folder):
    bench = efficiency(folder)
    rest = np.setdiff1d(np.arange(len(bench.store)), bench.parts['train'])
    recipe,views = Recipe(epochs=1, batch_size=16, warmup_epochs=0, projector=(8,8)),views_for(SENSORS['S2'], 16)
    made = [pretrain(b.store, SENSORS['S2'], bench.parts['train'], folder/f'pretrain{i}', views, recipe, backbone='resnet18-small')
            for i,b in enumerate((bench, poisoned(bench, labels=np.arange(len(bench.store)), pixels=rest)))]
    assert len({state_digest(load_encoder(p)) for p in made})==1, 'pre-training read a label, or a patch beyond its own'

def test_an_encoder_that_has_seen_test_patches_is_told(folder):
    bench,s2 = efficiency(folder),SENSORS['S2']
    for part,file in (('train',folder/'unseen.safetensors'), ('test',folder/'seen.safetensors')):
        encoder = scratch_encoder(s2, *training_statistics(bench, s2), 'resnet18-small')
        save_encoder(encoder, file, patch_keys(bench.store.index.iloc[bench.parts[part]]))
    cfg = bench.cfg.model_copy(update=dict(encoders=dict(S2=str(folder/'seen.safetensors'))))
    with pytest.warns(UserWarning, match='was trained on'): open_bench(cfg)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        warnings.simplefilter('ignore', AbsentClass)
        open_bench(cfg.model_copy(update=dict(encoders=dict(S2=str(folder/'unseen.safetensors')))))

@pytest.mark.parametrize('other', [dict(window=32), dict(window=None), dict(seed=1)], ids=str)
def test_cached_embeddings_are_those_of_the_encoder(folder, tmp_path, other):
    store,s2 = Store(folder/'store'),SENSORS['S2']
    for how in dict(window=16),other:
        encoder = scratch_encoder(s2, [.3]*3, [.2]*3, 'resnet18-small', **how)
        np.testing.assert_allclose(cached_embeddings(encoder, store, tmp_path)[:4], embed(encoder, store, range(4)), atol=1e-4,
                                   err_msg=f'the cache gave embeddings of another encoder than {how}')

def seen_by(monkeypatch, rank, ranks):
    "The patches of each step that a rank is given, and the seeds of its views."
    positions,seeds = [],[]
    def read(store, sensors, at, size, device):
        positions.extend(np.asarray(at).reshape(-1, size).tolist())
        return (({'S2': None}, None) for _ in range(len(at)//size))
    monkeypatch.setattr(pretraining, 'batches', read)
    monkeypatch.setattr(pretraining, 'train_step', lambda fabric, twins, adam, x, views, lambd, g: seeds.append(g.initial_seed()))
    fabric = SimpleNamespace(global_rank=rank, world_size=ranks, device='cpu', is_global_zero=False)
    twins = SimpleNamespace(encoder=SimpleNamespace(sensor=SENSORS['S2']), train=lambda: None)
    list(train(fabric, twins, SimpleNamespace(param_groups=[]), None, range(100,140), None, Recipe(epochs=2, batch_size=16), None, 7))
    return positions,seeds

@pytest.mark.parametrize('ranks', [1,2,4])
def test_ranks_share_each_batch_out(monkeypatch, ranks):
    found = [seen_by(monkeypatch, r, ranks) for r in range(ranks)]
    batches = [row for epoch in (0,1) for row in epoch_order(range(100,140), 16, 7, epoch).tolist()]
    for i,batch in enumerate(batches):
        shares = [positions[i] for positions,_ in found]
        assert sorted(p for share in shares for p in share)==sorted(batch), f'step {i}: ranks see the same patches, or leave some out'
        assert len({seeds[i] for _,seeds in found})==ranks, f'step {i}: ranks draw the same views'

class Trap:
    "Unpickled, it writes a file."
    def __init__(self, mark): self.mark = mark
    def __reduce__(self): return Path.write_text,(self.mark, 'executed')

def test_the_trap_works(tmp_path):
    torch.save(dict(twins=Trap(tmp_path/'mark')), tmp_path/'trap.pt')
    torch.load(tmp_path/'trap.pt', weights_only=False)
    assert (tmp_path/'mark').exists()

def read_checkpoint(folder):
    net = torch.nn.Linear(1, 1)
    load_checkpoint(folder/'checkpoint.pt', net, torch.optim.Adam(net.parameters()))

@pytest.mark.parametrize('name,read', [
    ('checkpoint.pt', read_checkpoint),
    ('encoder.safetensors', lambda folder: load_encoder(folder/'encoder.safetensors')),
    ('model.safetensors', SharedModel.from_pretrained),
    ('pytorch_model.bin', SharedModel.from_pretrained),
    ('model.pt', SharedModel.from_pretrained)])
def test_nothing_in_a_file_is_executed(tmp_path, name, read):
    torch.save(dict(twins=Trap(tmp_path/'mark'), optimizer={}, about=dict(epochs_done=1)), tmp_path/name)
    with pytest.raises(Exception): read(tmp_path)
    assert not (tmp_path/'mark').exists(), f'reading {name} executed what is in it'

UNSAFE = {'load': ('torch','pickle','joblib','dill','cloudpickle'), 'loads': ('pickle','dill','cloudpickle'), 'read_pickle': ('pd','pandas')}

def unsafe(tree):
    "Calls that execute what is in a file: `torch.load` and its like without `weights_only=True`, pickles, arrays of objects."
    for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call)):
        given = {k.arg: getattr(k.value, 'value', None) for k in call.keywords}
        name,of = getattr(call.func, 'attr', getattr(call.func, 'id', '')),getattr(getattr(call.func, 'value', None), 'id', '')
        safe = given.get('weights_only') is True
        if of in UNSAFE.get(name, ()) and not safe or name in ('load_state_dict_from_url','Unpickler') and not safe: yield call.lineno
        if given.get('weights_only') is False or given.get('allow_pickle') is True: yield call.lineno

@pytest.mark.parametrize('code,caught', [('torch.load(p)', True), ('torch.load(p, weights_only=True)', False), ('np.load(p, allow_pickle=True)', True),
                                         ('hub.load_state_dict_from_url(u, weights_only=False)', True), ('json.load(f)', False)])
def test_unsafe_calls_are_found(code, caught): assert bool(list(unsafe(ast.parse(code))))==caught

@pytest.mark.parametrize('path', sorted((ROOT/'ssl_fusion').glob('*.py')), ids=lambda p: p.name)
def test_no_module_executes_what_it_reads(path):
    assert not list(unsafe(ast.parse(path.read_text(encoding='utf-8')))), f'{path.name}: reads files with weights_only=False, or pickles'
