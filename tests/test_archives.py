"Archives in trouble that a notebook cannot make on itself: no permission to read, a run killed without warning."
import os, shutil, signal, subprocess, sys, time
from contextlib import contextmanager
from pathlib import Path
import pytest
from ssl_fusion.data.archives import example_pairs, open_archive, open_bigearthnet_v1, v1_folder
from ssl_fusion.data.store import Store, write_store

ROOT = Path(__file__).resolve().parent.parent
SOURCES = dict(S1=('VV','VH'), S2=('B04','B03','B02'))
NOBODY = 65534

@contextmanager
def without_rights(path):
    "Nobody may read a path meanwhile, root neither."
    mode,user = path.stat().st_mode,os.geteuid()
    path.chmod(0)
    if not user: os.seteuid(NOBODY)
    try: yield
    finally:
        os.seteuid(user)
        path.chmod(mode)

@pytest.fixture
def folder(tmp_path):
    "A folder with the six pairs that others may write to."
    for f in (tmp_path,*tmp_path.parents):
        if f.stat().st_uid==os.geteuid() and f!=Path(f.root): f.chmod(f.stat().st_mode|0o011)
    example_pairs(tmp_path/'six')
    (tmp_path/'stores').mkdir(); (tmp_path/'stores').chmod(0o777)
    return tmp_path

def test_an_unreadable_patch_is_named_and_left_out(folder):
    archive = open_bigearthnet_v1(folder/'six')
    with without_rights(v1_folder(archive.root, archive.index.iloc[2], 'S2')):
        with pytest.raises(ValueError, match=r'B04 cannot be opened: Permission denied \(.*_B04.tif\)'): write_store(archive, folder/'stores/a', SOURCES)
        assert len(write_store(archive, folder/'stores/a', SOURCES, skip_bad=True))==5
        again = open_bigearthnet_v1(folder/'six')
    assert len(again)==5 and again.faults[0].reason=='Permission denied' and again.faults[0].patch_id==archive.index.patch_id[2]

def test_an_unreadable_sensor_is_named(folder):
    with without_rights(folder/'six/BigEarthNet-S2-Example'), pytest.raises(PermissionError, match='BigEarthNet-S2-Example'): open_archive(folder/'six')

def test_a_folder_that_links_to_itself_is_named(folder):
    archive = open_bigearthnet_v1(folder/'six')
    loop = v1_folder(archive.root, archive.index.iloc[0], 'S1')
    shutil.rmtree(loop)
    loop.symlink_to(loop)
    with pytest.raises(ValueError, match=r'2 fault\(s\) in 2 patch\(es\)\n.*Too many levels of symbolic links.*\n.*no S1 patch belongs to'): write_store(open_archive(folder/'six'), folder/'stores/a', SOURCES)

WRITE = "import sys; from ssl_fusion.data.archives import open_archive; from ssl_fusion.data.store import write_store; write_store(open_archive(sys.argv[1]), sys.argv[2], dict(S1=('VV','VH'), S2=('B04','B03','B02')), workers=2, piece=2)"

def test_killed_and_started_again_the_store_is_the_same_to_the_byte(tmp_path):
    "Killed at several moments after it began to write; its workers end by themselves."
    from ssl_fusion.data.simulate import simulate
    archive,out,env = simulate(tmp_path/'archive', 2, (8,8), 48, seed=0),tmp_path/'killed',os.environ|dict(PYTHONPATH=str(ROOT))
    kills = 0
    for after in (.0,.05,.1,.2):
        run = subprocess.Popen([sys.executable, '-c', WRITE, archive, out], env=env, start_new_session=True, stdout=subprocess.DEVNULL)
        while run.poll() is None and not (out/'progress.json').exists(): time.sleep(.01)
        time.sleep(after)
        if run.poll() is None: os.kill(run.pid, signal.SIGKILL); kills += 1
        run.wait()
    subprocess.run([sys.executable, '-c', WRITE, archive, out], env=env, check=True, stdout=subprocess.DEVNULL)
    whole = write_store(open_archive(archive), tmp_path/'whole', SOURCES)
    assert kills and not Store(out).damaged() and sorted(f.name for f in out.iterdir())==sorted(f.name for f in whole.path.iterdir())
    assert all((out/f.name).read_bytes()==f.read_bytes() for f in whole.path.iterdir())
