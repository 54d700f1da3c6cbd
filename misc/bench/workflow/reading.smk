# Jobs that all read the same file, and nothing else.
# config: jobs = how many; hold = a named pipe, for one more job that waits until somebody has written to it.
N = int(config["jobs"])


rule all:
    input:
        expand("out/{i}.txt", i=range(N)),
        "out/hold.txt",
    localrule: True


rule read:
    input:
        "in/shared.bin",
    output:
        "out/{i}.txt",
    wildcard_constraints:
        i=r"\d+",
    resources:
        az_slots=1,
    shell:
        "cat {input} > /dev/null; true > {output}"


rule hold:
    output:
        "out/hold.txt",
    priority: 1
    resources:
        az_slots=1,
    params:
        pipe=config.get("hold"),
    shell:
        "cat {params.pipe} > {output}"
