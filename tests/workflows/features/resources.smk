# Resources: numbers, texts, units, functions of input size and attempt

rule resources:
    input: "resources/x.txt"
rule resources_write:
    input: "in/a.txt", "in/b.txt"
    output: "resources/x.txt"
    resources:
        mem="1GiB",
        disk_mb=500,
        runtime="90m",
        license="two words",
        many=lambda wildcards, input, threads, attempt: len(input) * 10 + threads + attempt,
        octets=lambda wildcards, input: input.size
    shell: "echo {resources.mem_mb} {resources.mem_mib} {resources.disk} {resources.runtime} '{resources.license}' {resources.many} {resources.octets} > {output}"
