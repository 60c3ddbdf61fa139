"The pipeline, in a copy of the repository: killed, resumed, run again, changed, broken; and at full size's settings on tiny archives."
import json, os, re, shlex, shutil, signal, subprocess, sys, time
from pathlib import Path
import pandas as pd, pytest, yaml

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
SMOKE = yaml.safe_load((ROOT/'profiles/smoke.yml').read_text())

pytestmark = pytest.mark.xdist_group('pipeline') # in one process, since its tests share the run of `smoke`

def snakemake(*args): return [BIN/'python', '-m', 'snakemake', '--nolock', '--cores', '1', '--keep-going', '--rerun-incomplete', *args]

def run(copy, *args, check=True, env={}):
    "Run a command in the copy, its own library first."
    env = os.environ | dict(PATH=f'{BIN}:{os.environ["PATH"]}', PYTHONPATH=str(copy)) | env
    done = subprocess.run(args, cwd=copy, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert not check or done.returncode==0, done.stdout[-6000:]
    return done

def trial(copy, **config):
    "Arguments for a run with some keys set otherwise."
    path = copy/'trial.yml'
    path.write_text(yaml.safe_dump(config))
    return '--configfile', path

def planned(copy, **changes):
    "The rules that a dry run would run."
    out = run(copy, *snakemake('--dry-run', *trial(copy, profile='smoke', set=changes))).stdout
    return set(re.findall(r'^(?:local)?rule (\w+):', out, re.M))

EVERY_STEP = set('prepare_data pretrain label_efficiency report claims fusion_variants robustness fusion_report slides '
                 'overview keep_notebooks'.split())

@pytest.fixture(scope='module')
def copy(tmp_path_factory):
    "A copy of the repository without what is ignored, installed nowhere."
    to = tmp_path_factory.mktemp('copy')/'repo'
    to.mkdir()
    for name in 'nbs','ssl_fusion','profiles','tools','data/talk','Snakefile','settings.ini':
        if (ROOT/name).is_dir(): shutil.copytree(ROOT/name, to/name, ignore=shutil.ignore_patterns('__pycache__','.ipynb_checkpoints'))
        else: shutil.copy(ROOT/name, to/name)
    return to

@pytest.fixture(scope='module')
def smoke(copy):
    "The copy after `smoke`, which was killed without warning as soon as its first step was done, and started again."
    command = snakemake('--config', 'profile=smoke')
    env = os.environ | dict(PATH=f'{BIN}:{os.environ["PATH"]}', PYTHONPATH=str(copy))
    first = subprocess.Popen(command, cwd=copy, env=env, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(1200):
        if (copy/'runs/smoke/splits/published.parquet').exists() or first.poll() is not None: break
        time.sleep(.1)
    os.killpg(first.pid, signal.SIGKILL)
    (copy/'figures/smoke').mkdir(parents=True)
    (copy/'figures/smoke/README.md').write_text('Explained, so that it counts among all profiles.')
    run(copy, *command)
    return copy

def test_smoke_ends_in_figures_with_their_tables(smoke):
    figures = smoke/'figures/smoke'
    for name in 'label_efficiency','pretraining': assert all((figures/f'{name}.{s}').stat().st_size for s in ('svg','png','csv'))
    for name in 'talk_and_ours','gain_over_scratch','gain_of_fusion','claims','claims_by_arm': assert len(pd.read_csv(figures/f'{name}.csv'))
    table = pd.read_csv(figures/'label_efficiency.csv')
    assert table.simulated.all() and 'SIMULATED' in (figures/'label_efficiency.svg').read_text()
    assert set(table.source)=={'S1','S2','S1+S2'} and set(table.fraction)==set(SMOKE['fractions'])
    ran = table[table.status=='ok']
    assert {'SSL (TL)','SSL (FT)','Scratch','class prior'}<=set(ran.strategy) and ran['mean'].between(0, 1).all()

def test_smoke_ends_in_the_slide_on_fusion(smoke):
    figures = smoke/'figures/smoke'
    tables = {name: pd.read_csv(figures/f'{name}.csv') for name in ('fusion_variants','clouds_and_shadows','coverage','missing_sensor')}
    for name in tables: assert 'SIMULATED' in (figures/f'{name}.svg').read_text()
    floors = tables['fusion_variants'].definition=='floor'
    assert set(tables['fusion_variants'].model[floors])=={'image statistics + linear','untrained encoder','class prior'}
    for name in 'clouds_and_shadows','coverage','missing_sensor': assert {'statistics','random','prior'}<=set(tables[name].initialisation[tables[name].strategy=='floor'])
    variants = tables['fusion_variants'][~floors].set_index('model')
    assert set(variants.index.str[:2].str.strip())=={'a','b','c','d','e1','e2','e3','f1','f2'} and set(variants.fraction)=={10,100}
    assert (variants.loc[['a','b','c','d','e3 initialisation','e1 stand-in','e2 stand-in','e1 bands','e1 fusion','e2 fusion','e3 fusion']].status=='ok').all()
    assert variants.loc['e2 bands'].reason.str.contains('no S2 band B01').all() # Nothing is made up for what the store lacks
    assert set(tables['coverage'].model.fillna('')+tables['coverage'].condition.fillna(''))=={'','met clouds','S1 shuffled'} and set(tables['missing_sensor'].condition.fillna(''))=={'','S1 absent','S2 absent'}
    text = (figures/'notebooks/09_slides.ipynb').read_text()
    assert 'The patches are simulated' in text and 'Of 6 pairs of variants' in text

def test_smoke_ends_in_the_claims_of_all_profiles(smoke):
    table = pd.read_csv(smoke/'figures/overview.csv')
    assert set(table.profile)=={'smoke'} and set(table.claim)=={1,2,3,4,5,6} and {'S1+S2 over S1','S1+S2 over S2','S1+S2 over better of S1 and S2'}<=set(table.source)
    gains = pd.read_csv(smoke/'figures/smoke/gain_under_clouds.csv')
    asked = [(how, over, f) for how in ('Scratch','SSL (TL)','SSL (TL), met clouds') for over in ('S1','S2','better of S1 and S2') for f in SMOKE['robust_fractions']]
    assert sorted(zip(gains.strategy, gains.over_source, gains.fraction))==sorted(asked)
    assert gains[['effect','lo','hi']].notna().all(axis=None) and gains.effect.between(gains.lo, gains.hi).all() and ((gains.verdict=='supported')==(gains.lo>0)).all()

def test_settings_are_chosen_without_test_patches(smoke):
    run(smoke, BIN/'python', 'tools/choose_tuning.py', 'smoke', 'ssl', '--rates', '1e-3', '--steps', '2', '--fractions', '100', '--split', 'published')
    table = pd.read_csv(smoke/'figures/smoke/tuning.csv')
    assert table.steps.tolist()==[2] and table.validation.between(0, 1).all() and not (smoke/'runs/smoke/tuning').exists() # Nothing predicted, nothing recorded

def test_kept_notebooks_hold_their_parameters_and_no_paths(smoke):
    kept = sorted((smoke/'figures/smoke/notebooks').glob('*.ipynb'))
    assert len(kept)==1+2+3+1+1+4
    for path in kept:
        text = path.read_text()
        assert 'injected-parameters' in text and '"papermill"' not in text and str(smoke) not in text

def test_tracked_figures_do_not_pass_for_a_run(copy):
    "In a fresh clone the figures of a profile are there before anything has run."
    shutil.copytree(ROOT/'figures/quick', copy/'figures/quick', dirs_exist_ok=True)
    (copy/'figures/quick/notebooks/.kept').touch() # The mark of an earlier version
    plan = run(copy, *snakemake('--dry-run', '--config', 'profile=quick')).stdout
    shutil.rmtree(copy/'figures/quick') # The overview of the other tests looks at what is there
    assert EVERY_STEP<=set(re.findall(r'^(?:local)?rule (\w+):', plan, re.M))

def test_running_again_does_nothing(smoke): assert planned(smoke)==set()

@pytest.fixture
def done(smoke, tmp_path):
    "A second copy of the repository in which `smoke` is done, to be spoilt."
    shutil.copytree(smoke, tmp_path/'repo') # with times
    for name in 'Makefile','pyproject.toml','setup.py': shutil.copy(ROOT/name, tmp_path/'repo')
    assert planned(tmp_path/'repo')==set()
    return tmp_path/'repo'

def test_after_make_clean_everything_runs(done):
    "Figures and stores stay, but do not count as done."
    (done/'figures/smoke/notebooks/.kept').touch() # The mark of an earlier version
    (done/'tests').mkdir()
    run(done, 'make', 'clean', 'ENV=none', f'PYTHON={BIN/"python"}')
    assert not (done/'runs').exists()
    assert (done/'figures/smoke/claims.csv').exists() and (done/'data/stores/smoke/store.json').exists()
    assert planned(done)-{'all'}==EVERY_STEP

def test_without_its_store_everything_that_depends_on_it_runs(done):
    shutil.rmtree(done/'data/stores')
    assert planned(done)-{'all'}==EVERY_STEP

def test_deleted_figures_are_drawn_again(done):
    (done/'figures/smoke/label_efficiency.svg').unlink()
    assert planned(done)-{'all'}=={'report','slides','keep_notebooks'}

def test_folders_may_have_blanks(copy):
    "As every path in a command, also of figures."
    asked = trial(copy, profile='smoke', runs='my runs/smoke', figures='my figures/smoke')
    lines = [l for l in run(copy, *snakemake('--dry-run', '--printshellcmds', *asked)).stdout.splitlines()
             if 'keep_notebooks.py' in l or ' papermill ' in l]
    def after(tool, n): return [w[w.index(tool)+n:] for w in map(shlex.split, lines) if tool in w]
    def is_notebook(word): return re.fullmatch(r'my runs/smoke/notebooks/[\w+]+\.ipynb', word)
    [(to,*kept)] = after('tools/keep_notebooks.py', 1)
    assert to=='my figures/smoke/notebooks' and len(kept)==12 and all(map(is_notebook, kept))
    assert (made := after('papermill', 2)) and all(is_notebook(m[0]) for m in made)

def test_saving_a_notebook_runs_nothing(smoke):
    path = smoke/'nbs/experiments/02_pretrain.ipynb'
    nb = json.loads(path.read_text())
    nb['cells'].append(dict(cell_type='markdown', id='added', metadata={}, source='A remark.'))
    path.write_text(json.dumps(nb))
    assert planned(smoke)==set()

@pytest.mark.parametrize('change,runs', [
    (dict(metric='macro_ap'), 'report claims fusion_report slides overview'),
    (dict(coverages=[0.,40.]), 'robustness claims fusion_report slides overview'),
    (dict(scratch_lr=2e-3), 'label_efficiency fusion_variants report claims fusion_report slides overview'),
    (dict(pretrain_lr=2e-3), 'pretrain label_efficiency fusion_variants robustness report claims fusion_report slides overview')], ids=str)
def test_a_changed_parameter_runs_what_depends_on_it(smoke, change, runs):
    assert planned(smoke, **change)-{'all','keep_notebooks'}==set(runs.split())

def test_a_changed_room_runs_the_notebooks_that_import_it(smoke):
    room = smoke/'ssl_fusion/report.py'
    before = room.read_text()
    room.write_text(before+'\nADDED = 1\n')
    try: assert 'pretrain' not in planned(smoke) and 'report' in planned(smoke)
    finally: room.write_text(before)

def test_a_failing_notebook_is_kept_and_the_others_finish(smoke):
    broken = trial(smoke, profile='smoke', set=dict(views=dict(S2=dict(nonsense=1.))), runs='runs/broken with blanks', figures='figures/broken')
    done = run(smoke, *snakemake('--until', 'pretrain', *broken), check=False)
    assert done.returncode and (smoke/'runs/broken with blanks/pretrain/published/S1/encoder.safetensors').exists()
    assert 'nonsense' in (smoke/'runs/broken with blanks/notebooks/02_pretrain_published_S2.ipynb').read_text()

@pytest.mark.parametrize('wrong,word', [(('-p','epoch','3'), 'epoch: Extra inputs'), (('-p','epochs','three'), "epochs: Input should be a valid integer")], ids=str)
def test_papermill_alone_refuses_wrong_parameters(smoke, tmp_path, wrong, word):
    done = run(smoke, BIN/'papermill', 'nbs/experiments/02_pretrain.ipynb', tmp_path/'out.ipynb', '-k', 'python3', *wrong, check=False)
    assert done.returncode and word in done.stdout

def test_unknown_profile_key_is_refused(copy):
    done = run(copy, *snakemake('--dry-run', *trial(copy, profile='smoke', set=dict(pretrain_epoch=3))), check=False)
    assert done.returncode and 'pretrain_epoch: Extra inputs' in done.stdout

# ---- the talk at full size, on archives of a few patches ----------------------------------------------------------------

TINY = dict(SMOKE, splits=['random'], flagged='keep', sensors={'S1+S2': ['S1','S2']}, arms=[['prior','floor'], ['scratch','scratch'], ['ssl','TL'], ['ssl','FT']],
            fractions=[50, 100], pretrain_epochs=1, pretrain_warmup_epochs=0., pretrain_batch_size=2, view_size=64, window=120, ft_batch_size=2, stop_patches=2, bootstrap=5, cut=['source'])
for key in 'title','budget','dataset','store','scenes','grid','patch_size','archive_seed': TINY.pop(key)

def tiny_v1(folder):
    from ssl_fusion.archives import example_pairs, put_lists
    example_pairs(folder)
    for example,genuine in {'BigEarthNet-S1-Example':'BigEarthNet-S1-v1.0', 'BigEarthNet-S2-Example':'BigEarthNet-v1.0'}.items(): (folder/example).rename(folder/genuine)
    put_lists(folder)

def tiny_v2(folder):
    from ssl_fusion.simulate import simulate
    simulate(folder, 2, (2,3), 120, seed=0)
    (folder/'simulated.json').unlink() # as if it were real

def run_profile(copy, profile, name, change):
    "The label efficiency that a profile ends in, with some keys set otherwise."
    change = change | dict(store=f'data/stores/{name}')
    run(copy, *snakemake(*trial(copy, profile=profile, set=change, runs=f'runs/{name}', figures=f'figures/{name}')))
    return pd.read_csv(copy/f'figures/{name}/label_efficiency.csv')

@pytest.mark.parametrize('dataset,make', [('bigearthnet-v1', tiny_v1), ('bigearthnet-v2', tiny_v2)])
def test_the_talk_at_full_size_on_a_tiny_archive(copy, tmp_path, dataset, make):
    make(tmp_path/dataset)
    table = run_profile(copy, 'bigearthnet', f'tiny-{dataset}', TINY | dict(dataset=dataset, data_folder=str(tmp_path)))
    assert set(table.dataset)=={dataset} and (table.status=='ok').all() and not table.simulated.any()
    assert set(table.source)=={'S1+S2'} and {'SSL (TL)','SSL (FT)','Scratch'}<=set(table.strategy)

def tiny_eurosat_ms(folder, images=6):
    "EuroSAT's thirteen bands as its zip unpacks, each class in its own numbers, with a foreign file and the lists of the spatial split."
    import numpy as np, rasterio
    from ssl_fusion.labels import EUROSAT_CLASSES
    tif,rng,lists = folder/'ds/images/remote_sensing/otherDatasets/sentinel_2/tif',np.random.default_rng(0),dict(train=[], val=[], test=[])
    for k,c in enumerate(EUROSAT_CLASSES):
        (tif/c).mkdir(parents=True)
        for i,part in enumerate(['train','train','train','val','test','test'], 1):
            x = rng.normal(400*(k+1), 200, (13,64,64)).clip(1).astype(np.uint16)
            with rasterio.open(tif/c/f'{c}_{i}.tif', 'w', driver='GTiff', count=13, height=64, width=64, dtype='uint16', crs='EPSG:32632', transform=rasterio.Affine(10,0,0,0,-10,0)) as f: f.write(x)
            lists[part].append(f'{c}_{i}.jpg')
    shutil.copy(tif/'SeaLake/SeaLake_1.tif', tif/'SeaLake/Bombay_1.tif')
    for part,names in lists.items(): (folder/f'eurosat-spatial-{part}.txt').write_text('\n'.join(names))

def test_all_bands_of_eurosat_from_archive_to_label_efficiency(copy, tmp_path):
    "With a backbone of timm: from profile to pre-training, frozen and fine-tuned."
    tiny_eurosat_ms(tmp_path/'eurosat-ms')
    change = dict(dataset='eurosat-ms', data_folder=str(tmp_path), backbone='test_resnet', sources=dict(S2=['B04','B03','B02','B8A']), sensors=dict(S2=['S2']),
                  arms=[['prior','floor'], ['scratch','scratch'], ['ssl','TL'], ['ssl','FT']], fractions=[50, 100], metric='accuracy')
    table = run_profile(copy, 'smoke', 'tiny-eurosat-ms', change)
    assert set(table.dataset)=={'eurosat-ms'} and (table.status=='ok').all() and not table.simulated.any() and set(table.split)=={'spatial'}
    assert {'SSL (TL)','SSL (FT)','Scratch','class prior'}<=set(table.strategy)
    assert len(pd.read_parquet(copy/'data/stores/tiny-eurosat-ms/index.parquet'))==60 # without the foreign one
