# Jobs wait for a note in the study's results that its data set is there, not for the folder: a folder that is declared
# would be deleted before it is downloaded anew, and one that is missing would have finished trainings run again.
rule download_dataset:
    input:
        [],
    output:
        note=touch(DOWNLOAD),
    log:
        "results/{study}/logs/download_dataset/{dataset}.log",
    benchmark:
        "results/{study}/benchmarks/download_dataset/{dataset}.tsv"
    retries: 3
    localrule: True  # the nodes of a cluster may have no network
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime="2h",
    params:
        # No digest of the code: the files are the published ones, whichever code has fetched them.
        folder=lambda w: default_folder(w.dataset),
    message:
        "Downloading {wildcards.dataset} where it is missing."
    shell:
        "scripts/download_dataset.py --dataset {wildcards.dataset} --output {params.folder} > {log} 2>&1"
