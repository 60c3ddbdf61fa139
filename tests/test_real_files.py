"Files as people have them: small inputs, each of a kind that was once read, labelled, split or trained on wrongly."
import warnings
import numpy as np, pandas as pd, pytest, rasterio
from rasterio.transform import from_origin
from ssl_fusion.data.archives import located, open_archive, open_eurosat, write_bands
from ssl_fusion.data.geotiffs import Misread, open_scene, raster_files, save_tif
from ssl_fusion.data.rasters import open_rasters
from ssl_fusion.data.scenes import Tiling
from ssl_fusion.data.sensors import SENSORS, composite, sensor_named
from ssl_fusion.data.splits import assign_split, leakage, pretraining_positions
from ssl_fusion.data.store import write_store
from ssl_fusion.data.tile_labels import labels_from_points
from ssl_fusion.learn.augment import views_for
from ssl_fusion.learn.downstream import PENALTIES, choose_probe
from ssl_fusion.learn.encoders import load_encoder, scratch_encoder, seen_patches, warn_if_seen
from ssl_fusion.learn.fusion import Classifier, Concat
from ssl_fusion.learn.pretrain import Recipe, pretrain
from ssl_fusion.paper.config import Pretrain
from ssl_fusion.use.maps import class_probabilities

RGB,PLACE = ('B04','B03','B02'),(5e5,5e6)
RECIPE = Recipe(epochs=1, batch_size=16, warmup_epochs=0, projector=(8,8))

@pytest.fixture
def rng(): return np.random.default_rng(0)

def optics(rng, lo=50, hi=900, side=64): return rng.integers(lo, hi, (3,side,side)).astype('uint16')
def decibels(rng, side=64): return rng.normal(-14, 3, (2,side,side)).astype('float32')

# ---- numbers ---------------------------------------------------------------------------------------------------------

def test_an_offset_belongs_to_a_scene(rng, tmp_path):
    dark = optics(rng)
    save_tif(tmp_path/'old_S2.tif', dark, RGB, PLACE)
    save_tif(tmp_path/'new_S2.tif', dark+1000, RGB, (6e5,5e6))
    with pytest.raises(Misread, match='scene old, band B0'): open_rasters(tmp_path, Tiling(32, offset=1000))
    both = open_rasters(tmp_path, Tiling(32, offset=dict(old=0, new=1000)))
    old,new = (both.read(both.index.patch_id.tolist().index(f'{s}_0_0'), 'S2', RGB) for s in ('old','new'))
    assert (old==dark[:,:32,:32]).all() and (new==old).all()

def test_tags_of_scale_and_offset_are_read(rng, tmp_path):
    x = optics(rng, 1050, 1900)
    save_tif(tmp_path/'a_S2.tif', x, RGB, PLACE)
    with rasterio.open(tmp_path/'a_S2.tif', 'r+') as f: f.scales,f.offsets = (1e-4,)*3,(-.1,)*3
    assert (open_rasters(tmp_path, Tiling(32)).read(0, 'S2', RGB)==x[:,:32,:32]-1000).all()

def test_a_map_refuses_what_an_archive_refuses(rng, tmp_path):
    save_tif(tmp_path/'p_S1.tif', 10**(decibels(rng)/10), ('VV','VH'), PLACE)
    model = Classifier(Concat({'S1dB': scratch_encoder(SENSORS['S1dB'], [.6,.45], [.1,.1])}), 3).eval()
    scene = open_scene('p', raster_files(tmp_path)['p'])
    for use in (lambda: open_rasters(tmp_path, Tiling(32)),
                lambda: class_probabilities(model, scene, [SENSORS['S1dB']], Tiling(32, 32))):
        with pytest.raises(ValueError, match="unit='power'"): use()

@pytest.mark.parametrize('value', [0., -9999.])
def test_no_data_that_nobody_declared_is_never_averaged(value, rng, tmp_path):
    x = decibels(rng)
    x[:,:,20:32] = value
    save_tif(tmp_path/'a_S1.tif', x, ('VV','VH'), PLACE)
    try: store = write_store(open_rasters(tmp_path, Tiling(32)), tmp_path/'store', dict(S1=('VV','VH')))
    except ValueError as e: assert f'{value:g}' in str(e) and 'nodata' in str(e)
    else: assert abs(store.arrays['S1'].astype('f4').mean()+14)<.5

def test_sidecars_count_when_storing_too(rng, tmp_path):
    save_tif(tmp_path/'a_S2.tif', optics(rng), RGB, PLACE)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK='NO'), rasterio.open(tmp_path/'a_S2.tif', 'r+') as f:
        f.write_mask(np.pad(np.full((32,64), 255, 'u1'), ((32,0),(0,0))))
    assert (tmp_path/'a_S2.tif.msk').exists()
    archive = open_rasters(tmp_path, Tiling(32))
    assert archive.index.row.tolist()==[1,1]
    assert len(write_store(archive, tmp_path/'store', dict(S2=RGB)))==2

# ---- products --------------------------------------------------------------------------------------------------------

def test_hidden_files_are_no_scenes(rng, tmp_path):
    save_tif(tmp_path/'a_S2.tif', optics(rng), RGB, PLACE)
    (tmp_path/'._a_S2.tif').write_bytes(bytes(99))
    assert len(write_store(open_rasters(tmp_path, Tiling(32)), tmp_path/'store', dict(S2=RGB)))==4

def test_optics_may_be_signed_where_nothing_is_negative(rng, tmp_path):
    x = optics(rng).astype('int16')
    save_tif(tmp_path/'a_S2.tif', x, RGB, PLACE)
    read = open_rasters(tmp_path, Tiling(32)).read(0, 'S2', RGB)
    assert read.dtype==np.uint16 and (read==x[:,:32,:32]).all()
    save_tif(tmp_path/'a_S2.tif', x-500, RGB, PLACE)
    with pytest.raises(ValueError, match='scene a'): open_rasters(tmp_path, Tiling(32))

def test_one_polarisation_from_file_to_map(rng, tmp_path):
    for i in range(4): save_tif(tmp_path/f'a{i}_S1.tif', decibels(rng)[:1], ('VH',), (5e5+1e5*i,5e6))
    sensor = sensor_named('S1dB-VH')
    store = write_store(open_rasters(tmp_path, Tiling(32)), tmp_path/'store', dict(S1=('VH',)))
    encoder = load_encoder(pretrain(store, sensor, np.arange(16), tmp_path/'run', views_for(sensor, 16), RECIPE), sensor)
    model = Classifier(Concat({sensor.name: encoder}), 2).eval()
    p = class_probabilities(model, open_scene('a0', raster_files(tmp_path)['a0']), [sensor], Tiling(32), 'multiclass')
    assert p.shape==(2,2,2) and np.allclose(p.sum(0), 1)
    assert composite(store.scaled(sensor, [0])[0], sensor).shape==(32,32,3)

def test_pixels_of_other_sizes_are_refused(rng, tmp_path):
    for name,east,res,crs in (('u',5e5,30,'EPSG:32633'), ('v',9e5,10,'EPSG:32633'), ('w',15.,1e-4,'EPSG:4326')):
        save_tif(tmp_path/f'{name}_S2.tif', optics(rng), RGB, PLACE, crs, transform=from_origin(east, 48., res, res))
    with pytest.raises(ValueError, match='resolution=10'): open_rasters(tmp_path, Tiling(32))

def test_digits_in_a_name_are_no_date(rng, tmp_path):
    save_tif(tmp_path/'wald_13062021T33UUP_S2.tif', optics(rng), RGB, PLACE)
    assert open_rasters(tmp_path, Tiling(32)).index.season.tolist()==['']*4

# ---- places ----------------------------------------------------------------------------------------------------------

def test_neighbours_across_scenes_leak(rng, tmp_path):
    for k in range(3): save_tif(tmp_path/f's{k}_S2.tif', optics(rng), RGB, (5e5+640*k,5e6))
    index = open_rasters(tmp_path, Tiling(32)).index
    assert set(index.split)=={''} # One piece of ground
    assert leakage(index, index.scene.map(dict(s0='train', s1='test', s2='excluded')))==.5
    assert leakage(index, index.scene.map(dict(s0='train', s1='excluded', s2='test')))==0

def test_points_say_in_which_system_they_are(rng, tmp_path):
    for z in (32,33): save_tif(tmp_path/f'zone{z}_S2.tif', optics(rng), RGB, PLACE, f'EPSG:326{z}')
    point = pd.DataFrame(dict(x=[5e5+5], y=[5e6-5], label=['zone 33']))
    with pytest.raises(ValueError, match='EPSG:32632'): labels_from_points(point, tmp_path, Tiling(32))
    assert labels_from_points(point, tmp_path, Tiling(32), crs='EPSG:32633').patch_id.tolist()==['zone33_0_0']
    save_tif(tmp_path/'later_S2.tif', optics(rng), RGB, PLACE, 'EPSG:32633') # Another date of it
    found = labels_from_points(point, tmp_path, Tiling(32), crs='EPSG:32633').patch_id
    assert sorted(found)==['later_0_0','zone33_0_0']

def test_points_need_no_names_of_bands(rng, tmp_path):
    save_tif(tmp_path/'u_S2.tif', optics(rng), (None,)*3, PLACE)
    point = pd.DataFrame(dict(x=[5e5+5], y=[5e6-5], label=[7]))
    assert labels_from_points(point, tmp_path, Tiling(32)).values.tolist()==[['u_0_0','7']]

def test_a_metre_between_patches_is_touching(rng, tmp_path):
    folder = tmp_path/'EuroSAT_MS/Forest'
    folder.mkdir(parents=True)
    for i,east in enumerate((5e5,5e5+639,5e5+1280), 1):
        x = rng.integers(1, 3000, (13,64,64)).astype('uint16')
        save_tif(folder/f'Forest_{i}.tif', x, (None,)*13, (east,5e6), 'EPSG:32632')
    index = located(open_eurosat(tmp_path, 'eurosat-ms')).index
    assert leakage(index, pd.Series(['excluded','train','test']))==1

# ---- labels ----------------------------------------------------------------------------------------------------------

def test_text_of_a_table_stays_text(rng, tmp_path):
    save_tif(tmp_path/'a_S2.tif', optics(rng), RGB, PLACE)
    table = tmp_path/'labels.csv'
    table.write_text('patch_id,labels,country\na_0_0,None,NA\na_1_0,NA,DE\na_0_1,maize,DE\n')
    index = open_rasters(tmp_path, Tiling(32), labels=table).index.set_index('patch_id').loc[['a_0_0','a_1_0','a_0_1']]
    assert index.labels.tolist()==[['None'],['NA'],['maize']] and index.country.tolist()==['NA','DE','DE']

def test_whole_numbers_are_labels(rng, tmp_path):
    save_tif(tmp_path/'a_S2.tif', optics(rng), RGB, PLACE)
    pd.DataFrame(dict(patch_id=['a_0_0','a_1_0'], labels=[3,7])).to_parquet(tmp_path/'labels.parquet')
    assert open_rasters(tmp_path, Tiling(32), labels=tmp_path/'labels.parquet').classes==('3','7')

def test_a_tile_without_a_label_trains_no_class(rng, tmp_path):
    for i in range(5): save_tif(tmp_path/f's{i}_S2.tif', optics(rng), RGB, (5e5+1e5*i,5e6))
    rows = [f's{i}_{c}_{r},{"maize" if c else ""}' for i in range(5) for c in (0,1) for r in (0,1)]
    (tmp_path/'labels.csv').write_text('\n'.join(['patch_id,labels',*rows]))
    archive = open_rasters(tmp_path, Tiling(32), labels=tmp_path/'labels.csv', task='multiclass')
    bare = archive.index.labels.map(len)==0
    for kind in ('random','published'):
        split = assign_split(archive.index, kind)
        assert not split[bare].isin(['train','validation','test']).any()
        assert set(split.index[split=='unlabelled'])<=set(pretraining_positions(split)) and (split=='unlabelled').any()

# ---- what lies in a folder -------------------------------------------------------------------------------------------

def test_another_store_or_run_is_refused(rng, tmp_path):
    scenes = tmp_path/'scenes'
    scenes.mkdir()
    save_tif(scenes/'a_S2.tif', optics(rng, 2000, 3000, 256), RGB, PLACE)
    sensor,views = SENSORS['S2'],views_for(SENSORS['S2'], 16)
    store = write_store(open_rasters(scenes, Tiling(32)), tmp_path/'store', dict(S2=RGB))
    with pytest.raises(ValueError, match='offset'):
        write_store(open_rasters(scenes, Tiling(32, offset=1000)), tmp_path/'store', dict(S2=RGB))
    path = pretrain(store, sensor, np.arange(32), tmp_path/'run', views, RECIPE)
    seen = seen_patches(path)
    with pytest.raises(ValueError, match='patches'):
        pretrain(store, sensor, np.arange(32, 64), tmp_path/'run', views, RECIPE)
    assert (seen_patches(path)==seen).all()
    with warnings.catch_warnings(action='ignore'): assert warn_if_seen(path, store.index, np.arange(32))==1
    save_tif(scenes/'a_S2.tif', optics(rng, 2000, 3000, 256), RGB, PLACE) # Another file of the same name
    with pytest.raises(ValueError, match='holds another store'):
        write_store(open_rasters(scenes, Tiling(32)), tmp_path/'store', dict(S2=RGB))

# ---- published archives ----------------------------------------------------------------------------------------------

def test_descriptions_win_over_positions(tmp_path):
    names = 'B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B10 B11 B12'.split() # Not the published order
    (tmp_path/'EuroSAT_MS/River').mkdir(parents=True)
    x = np.stack([np.full((64,64), 100*(i+1), 'uint16') for i in range(13)])
    save_tif(tmp_path/'EuroSAT_MS/River/River_1.tif', x, names, PLACE)
    archive = open_archive(tmp_path)
    bands = archive.sources['S2']
    assert [names[int(v)//100-1] for v in archive.read(0, 'S2', bands)[:,0,0]]==list(bands)

def test_a_part_of_bigearthnet_opens(tmp_path, capsys):
    ids = [f'S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP_{c}_{r}' for c in range(10) for r in range(10)]
    folder = tmp_path/'BigEarthNet-S2'/ids[5].rsplit('_', 2)[0]/ids[5]
    write_bands(folder, dict(B04=np.full((120,120), 500, 'uint16')), transform=from_origin(5e5, 5e6, 10, 10))
    with pytest.raises(ValueError, match='(?s)zenodo.*metadata.parquet'): open_archive(tmp_path)
    table = dict(patch_id=ids, labels=[['Pastures']]*100, split='train', s1_name='')
    pd.DataFrame(table).to_parquet(tmp_path/'metadata.parquet')
    archive = open_archive(tmp_path)
    assert archive.index.patch_id.tolist()==[ids[5]] and '99' in capsys.readouterr().out

# ---- training --------------------------------------------------------------------------------------------------------

def test_a_penalty_lies_inside_its_grid(rng):
    difference = rng.normal(size=(3000,5))*.002
    z = (rng.normal(size=(3000,1))+difference).astype('f4') # Five features that are nearly one
    y = np.eye(2, dtype='u1')[(difference[:,0]>difference[:,1]).astype(int)]
    found = choose_probe(z[:1500], y[:1500], z[1500:], y[1500:], 'multiclass')
    assert found.setting<PENALTIES[-1] and found.score>.95

def test_a_constant_band_is_named_before_the_first_step(rng, tmp_path):
    x = optics(rng, 2000, 3000, 128)
    x[1] = 2500
    save_tif(tmp_path/'a_S2.tif', x, RGB, PLACE)
    store = write_store(open_rasters(tmp_path, Tiling(32)), tmp_path/'store', dict(S2=RGB))
    with pytest.raises(ValueError, match='band B03 is constant, 2500'):
        pretrain(store, SENSORS['S2'], np.arange(16), tmp_path/'run', views_for(SENSORS['S2'], 16), RECIPE)
    assert not (tmp_path/'run/log.jsonl').exists()

def test_small_numbers_may_come_as_text():
    own = dict(store='s', split='s', out='o', sensor='S2', view_size=16, epochs=1, batch_size=2, warmup_epochs=0.)
    own |= dict(projector=[8], views={}, seed=0, weight_decay=0., lambd=5e-3, backbone='resnet18', keep_every=0)
    assert Pretrain(**own, lr='5e-05').lr==5e-05
    with pytest.raises(ValueError): Pretrain(**own, lr='fast')
