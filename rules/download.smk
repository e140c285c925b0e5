# Jobs depend on an empty file among the study's results, not on the folder of the data set: Snakemake would delete a
# folder that is an output before each download, and repeat finished trainings if the folder is missing.
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
    resources:
        mem_mb=4000,
        runtime="2h",
    params:
        program=program("download_dataset.py"),
        # No digest of the code, because the published files do not depend on it.
        folder=lambda w: default_folder(w.dataset),
    message:
        "Downloading {wildcards.dataset} if it is missing."
    shell:
        "{params.program} --dataset {wildcards.dataset} --output {params.folder} > {log} 2>&1"
