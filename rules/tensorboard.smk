EVENT_FILE = f"{RUN}/tensorboard/events.out.tfevents.actdim"
EVENTS = [
    EVENT_FILE.format(study=study.name, run=run)
    for study in STUDIES.values()
    for run in study.runs
    if CONFIG.tensorboard
]


rule write_events:
    input:
        checkpoints=lambda w: checkpoint_folders(STUDIES[w.study], [w.run]),
        ids=estimates_of_run,
    output:
        events=EVENT_FILE,
    log:
        f"{RUN}/logs/write_events.log",
    benchmark:
        f"{RUN}/benchmarks/write_events.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        **memory_and_time("write_events"),
    params:
        program=program("write_events.py"),
        code=code_digest("write_events.py"),
    message:
        "Writing {wildcards.study} {wildcards.run} for TensorBoard."
    shell:
        "printf '%s\\n' {input.ids} | {params.program} --checkpoints {input.checkpoints}"
        " --output {output.events} > {log} 2>&1"
