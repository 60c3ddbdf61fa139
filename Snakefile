# The pipeline of a profile: prepare data -> pre-train each sensor -> label efficiency -> report
#                                                                 -> fusion variants, robustness (where there are S1 and S2)
#                                                                 -> all of these -> claims, fusion report
#                                                                 -> the talk, slide by slide; the claims of all profiles.
#
#   make reproduce PROFILE=quick        or        snakemake --cores 2 --config profile=quick
#   snakemake --cores 2 --configfile trial.yml      with some keys otherwise: {profile: quick, set: {pretrain_epochs: 2}, runs: runs/trial, figures: figures/trial}
#
# Each step is a notebook run by papermill; as it ran, the failing one too, it is kept in runs/<profile>/notebooks. A step runs again when
# its parameters, its inputs, its notebook's code or a room of the library that the notebook imports have changed, and not when
# a notebook was only saved. Executor plugins take the same rules to clusters: snakemake --executor slurm ...
#
# What has run is told by marks in runs/<profile> alone, `<step>.done`. Figures are tracked, so in a fresh clone they are there
# before anything has run, and a store may serve several profiles: both are outputs too, and made again where they are
# missing, but never count as done by themselves. `make clean` removes runs/, and with it every mark.
import json
from pathlib import Path
from ssl_fusion.paper.config import arm_name, code_digest, load_profile, prefixed

NAME = config.get("profile", "quick")
P = load_profile(NAME, **config.get("set", {}))
RUNS, FIGURES, NB = config.get("runs", f"runs/{NAME}"), config.get("figures", f"figures/{NAME}"), "nbs/experiments/"
STORE = P.store + "/store.json"
STEPS = {"prepare": "01_prepare_data", "pretrain": "02_pretrain", "efficiency": "03_label_efficiency", "report": "04_report", "claims": "05_claims",
         "variants": "06_fusion_variants", "robustness": "07_robustness", "fusion": "08_fusion_report", "slides": "09_slides", "overview": "10_overview"}
CODE = {step: code_digest(f"{NB}{nb}.ipynb", ignore=["paper.config"] if step in ("report", "claims", "fusion", "slides", "overview") else ["paper.config", "paper.figures"]) for step, nb in STEPS.items()}
SSL = any(initialisation == "ssl" for initialisation, _ in P.arms)
PRETRAINED = sorted({s for sensors in P.sensors.values() for s in sensors}) if SSL else []
LABELS = {"random": "random 60/20/20", "published": "spatial" if P.dataset.startswith("eurosat") else "scene" if P.dataset == "simulated" else f"{P.dataset[-2:]} official"}
FUSES = bool(P.robust_fractions) and {"S1", "S2"} <= set(P.sensors) # On the first split, where there are S1 and S2
ALONE = {s: P.sensors[s][0] for s in ("S1", "S2")} if FUSES else {} # source -> its sensor
ARMS = {arm_name(arm): arm for arm in P.arms} if "arm" in P.cut else {"all": None}

# Two PyTorch processes with threads for all cores each are far slower than one after the other: a notebook of a large profile has all cores, those of a small
# one, whose batches keep few threads busy, half of them, two side by side; toys one.
THREADS = workflow.cores if P.pretrain_batch_size >= 256 else max(1, workflow.cores // 2) if P.pretrain_batch_size >= 64 else 1
PAPERMILL = ("OMP_NUM_THREADS={threads} OMP_WAIT_POLICY=passive papermill " + NB + "{params.nb}.ipynb {log:q} -k python3"
             " --log-output --no-progress-bar -y {params.y:q} 2>&1 | sed -u 's/^.*Executing notebook.*$//;/^$/d'")


def keys(prefix, *plain):
    return prefixed(P, prefix) | {k: getattr(P, k) for k in plain}


def encoder_files(split, sensors):
    return {s: f"{RUNS}/pretrain/{split}/{s}/encoder.safetensors" for s in sensors} if SSL else {}


def prepare(wildcards):
    plain = ("dataset", "data_folder", "store", "sources", "splits", "flagged", "fractions", "scenes", "grid", "patch_size", "archive_seed", "workers", "skip_bad")
    return json.dumps(keys("prepare_", *plain) | {"out": f"{RUNS}/splits", "seeds": sorted({*P.seeds, *P.tuned_seeds})})


def pretraining(wildcards):
    w = wildcards
    own = {"split": f"{RUNS}/splits/{w.split}.parquet", "out": f"{RUNS}/pretrain/{w.split}/{w.sensor}", "sensor": w.sensor, "views": P.views.get(w.sensor, {})}
    return json.dumps(keys("pretrain_", "store", "backbone", "view_size") | own)


def budget_of(arm):
    return P.budgets[arm].own if arm in P.budgets else {}


def efficiency(wildcards):
    w = wildcards
    plain = ("store", "fractions", "seeds", "tuned_seeds", "backbone", "window", "scratch_lr", "stop_patches", "bootstrap")
    fine = {f"ft_{k}": v for k, v in prefixed(P, "ft_").items()}
    own = {
        "split": f"{RUNS}/splits/{w.split}.parquet", "split_label": LABELS[w.split], "labels": f"{RUNS}/splits/labels/{w.split}",
        "out": f"{RUNS}/label_efficiency/{w.split}/{w.source}", "cache": f"{RUNS}/embeddings", "source": w.source,
        "sensors": P.sensors[w.source], "arms": [ARMS[w.arm]] if ARMS[w.arm] else P.arms,
        "encoders": encoder_files(w.split, P.sensors[w.source]),
    }
    return json.dumps(keys("none_", *plain) | fine | budget_of(w.arm) | own)


def labelled(wildcards, out):
    w = wildcards
    own = {"split": f"{RUNS}/splits/{w.split}.parquet", "split_label": LABELS[w.split], "labels": f"{RUNS}/splits/labels/{w.split}", "out": f"{RUNS}/{out}/{w.split}",
           "encoders": encoder_files(w.split, ALONE.values()), "fractions": P.robust_fractions}
    return keys("none_", "store", "seeds", "backbone", "window", "bootstrap") | own


def varying(wildcards):
    fine = {f"ft_{k}": v for k, v in prefixed(P, "ft_").items()}
    own = {"variants": "data/talk/variants.csv", "stands_for": {s: t for s, t in ALONE.items() if s != t}}
    return json.dumps(labelled(wildcards, "fusion_variants") | keys("none_", "tuned_seeds", "scratch_lr", "stop_patches") | fine | own)


def clouding(wildcards):
    own = {"cache": f"{RUNS}/embeddings", "sensors": ALONE, "initialisation": "ssl" if SSL else "random", "coverages": P.coverages}
    return json.dumps(labelled(wildcards, "robustness") | own)


def reporting(wildcards):
    logs = {f"{s}, {LABELS[split]} split": f"{RUNS}/pretrain/{split}/{s}/log.jsonl" for split in P.splits for s in PRETRAINED}
    budgets = [f"{arm.replace('_', ' ')} {', '.join(f'{k} {json.dumps(v)}' for k, v in budget_of(arm).items())}" for arm in P.budgets]
    remark = f" Trained with a budget of their own: {'; '.join(budgets)}." if budgets else ""
    return json.dumps({"profile": NAME, "records": f"{RUNS}/label_efficiency", "talk": "data/talk", "logs": logs, "out": FIGURES, "metric": P.metric, "remark": remark})


def claiming(wildcards):
    own = {"fusion": [f"{RUNS}/fusion_variants", f"{RUNS}/robustness"] if FUSES else [], "resamples": P.bootstrap}
    return json.dumps({"profile": NAME, "records": f"{RUNS}/label_efficiency", "store": P.store, "out": FIGURES, "metric": P.metric} | own)


def fusing(wildcards):
    own = {"efficiency": f"{RUNS}/label_efficiency", "variants": f"{RUNS}/fusion_variants", "robustness": f"{RUNS}/robustness"}
    return json.dumps({"profile": NAME, "talk": "data/talk", "out": FIGURES, "metric": P.metric} | own)


def sliding(wildcards):
    data = f"simulated: {P.scenes} landscapes of {P.grid[0]} x {P.grid[1]} patches of {P.patch_size} x {P.patch_size} pixels" if P.dataset == "simulated" else P.dataset
    metric = {"micro_ap": "micro average precision", "macro_ap": "macro average precision", "accuracy": "accuracy"}[P.metric]
    clouds = "no patch is known to be cloudy" if P.dataset.startswith("eurosat") else "cloudy patches in all parts" if P.flagged == "keep" else "cloudy patches are left out of training and test parts"
    facts = {"data": data, "split": ", ".join(LABELS[split] for split in P.splits), "metric": metric, "clouds": clouds, "epochs": P.pretrain_epochs, "batch_size": P.pretrain_batch_size, "lr": P.pretrain_lr,
             "scratch_steps": budget_of("scratch").get("ft_max_steps", P.ft_max_steps)}
    return json.dumps({"profile": NAME, "figures": FIGURES, "talk": "data/talk", "facts": facts})


def surveying(wildcards):
    folder = Path(FIGURES).parent
    return json.dumps({"figures": str(folder), "out": str(folder / "overview")})


def encoders(wildcards):
    return list(encoder_files(wildcards.split, P.sensors[wildcards.source]).values())


def both_encoders(wildcards):
    return list(encoder_files(wildcards.split, ALONE.values()).values())


EFFICIENCY = expand(RUNS + "/label_efficiency/{split}/{source}/{arm}.done", split=P.splits, source=P.sensors, arm=ARMS)
LOGS = expand(RUNS + "/notebooks/02_pretrain_{split}_{sensor}.ipynb", split=P.splits, sensor=PRETRAINED) \
     + expand(RUNS + "/notebooks/03_label_efficiency_{split}_{source}_{arm}.ipynb", split=P.splits, source=P.sensors, arm=ARMS) \
     + expand(RUNS + "/notebooks/{step}_{split}.ipynb", step=["06_fusion_variants", "07_robustness"], split=P.splits[:1] if FUSES else [])
STEPS_KEPT = ["01_prepare_data", "04_report", "05_claims", "09_slides"] + (["08_fusion_report"] if FUSES else [])
KEPT = LOGS + expand(RUNS + "/notebooks/{step}.ipynb", step=STEPS_KEPT)
FUSION = expand(RUNS + "/{step}/{split}.done", step=["fusion_variants", "robustness"], split=P.splits[:1] if FUSES else [])
GAINS = [FIGURES + "/gain_under_clouds.csv"] if FUSES else []
FUSED = [f"{FIGURES}/{name}.{kind}" for name in ("fusion_variants", "clouds_and_shadows", "coverage", "missing_sensor") for kind in ("csv", "svg", "png")] if FUSES else []

DRAWN = {"report": expand(FIGURES + "/label_efficiency.{kind}", kind=["csv", "svg", "png"]),
         "claims": [FIGURES + "/claims.csv", FIGURES + "/claims_by_arm.csv", *GAINS]} | ({"fusion_report": FUSED} if FUSES else {})
REPORTS = [f for step, files in DRAWN.items() for f in (f"{RUNS}/{step}.done", *files)]


rule all:
    input: STORE, REPORTS, RUNS + "/notebooks.done", RUNS + "/overview.done"


# A store that is there is not removed before the step: it is what was asked for, or `write_store` refuses it.
rule prepare_data:
    output: update(STORE), expand(RUNS + "/splits/{split}.parquet", split=P.splits)
    log: RUNS + "/notebooks/01_prepare_data.ipynb"
    params: y=prepare, code=CODE["prepare"], nb=STEPS["prepare"]
    threads: THREADS
    shell: PAPERMILL


rule pretrain:
    input: STORE, RUNS + "/splits/{split}.parquet"
    output: RUNS + "/pretrain/{split}/{sensor}/encoder.safetensors"
    log: RUNS + "/notebooks/02_pretrain_{split}_{sensor}.ipynb"
    params: y=pretraining, code=CODE["pretrain"], nb=STEPS["pretrain"]
    threads: THREADS
    resources: gpu=1
    shell: PAPERMILL


rule label_efficiency:
    input: STORE, RUNS + "/splits/{split}.parquet", encoders
    output: touch(RUNS + "/label_efficiency/{split}/{source}/{arm}.done")
    log: RUNS + "/notebooks/03_label_efficiency_{split}_{source}_{arm}.ipynb"
    params: y=efficiency, code=CODE["efficiency"], nb=STEPS["efficiency"]
    threads: THREADS
    resources: gpu=1
    shell: PAPERMILL


rule report:
    input: EFFICIENCY
    output: touch(RUNS + "/report.done"), DRAWN["report"]
    log: RUNS + "/notebooks/04_report.ipynb"
    params: y=reporting, code=CODE["report"], nb=STEPS["report"]
    threads: THREADS
    shell: PAPERMILL


rule claims:
    input: EFFICIENCY, FUSION, STORE
    output: touch(RUNS + "/claims.done"), DRAWN["claims"]
    log: RUNS + "/notebooks/05_claims.ipynb"
    params: y=claiming, code=CODE["claims"], nb=STEPS["claims"]
    threads: THREADS
    shell: PAPERMILL


rule fusion_variants:
    input: STORE, RUNS + "/splits/{split}.parquet", "data/talk/variants.csv", both_encoders
    output: touch(RUNS + "/fusion_variants/{split}.done")
    log: RUNS + "/notebooks/06_fusion_variants_{split}.ipynb"
    params: y=varying, code=CODE["variants"], nb=STEPS["variants"]
    threads: THREADS
    priority: 1 # The longest of its kind: what begins last must not be what everything waits for
    resources: gpu=1
    shell: PAPERMILL


rule robustness:
    input: STORE, RUNS + "/splits/{split}.parquet", both_encoders
    output: touch(RUNS + "/robustness/{split}.done")
    log: RUNS + "/notebooks/07_robustness_{split}.ipynb"
    params: y=clouding, code=CODE["robustness"], nb=STEPS["robustness"]
    threads: THREADS
    resources: gpu=1
    shell: PAPERMILL


if FUSES:
    rule fusion_report:
        input: [f for f in EFFICIENCY if f"/{P.splits[0]}/" in f], FUSION
        output: touch(RUNS + "/fusion_report.done"), DRAWN["fusion_report"]
        log: RUNS + "/notebooks/08_fusion_report.ipynb"
        params: y=fusing, code=CODE["fusion"], nb=STEPS["fusion"]
        threads: THREADS
        shell: PAPERMILL


rule slides:
    input: REPORTS
    output: touch(RUNS + "/slides.done")
    log: RUNS + "/notebooks/09_slides.ipynb"
    params: y=sliding, code=CODE["slides"], nb=STEPS["slides"]
    threads: THREADS
    shell: PAPERMILL


# Of all profiles, whichever of them has run and been explained.
rule overview:
    input: RUNS + "/claims.done", DRAWN["claims"], [str(p) for p in Path(FIGURES).parent.glob("*/README.md")]
    output: touch(RUNS + "/overview.done")
    log: RUNS + "/notebooks/10_overview.ipynb"
    params: y=surveying, code=CODE["overview"], nb=STEPS["overview"]
    threads: THREADS
    shell: PAPERMILL


rule keep_notebooks:
    input: EFFICIENCY, FUSION, REPORTS, rules.slides.output
    output: touch(RUNS + "/notebooks.done")
    params: notebooks=KEPT, to=FIGURES + "/notebooks"
    shell: "python tools/keep_notebooks.py {params.to:q} {params.notebooks:q}"
