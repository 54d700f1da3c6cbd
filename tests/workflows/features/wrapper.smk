# Wrappers, from a folder

rule wrapper:
    input: "wrapper/x.txt"
rule wrapper_write:
    input: "in/a.txt"
    output: "wrapper/x.txt"
    params: extra="--flag"
    wrapper: "file:features/wrappers/copy"
