# Benchmarks, and repeated ones
# varies: *.tsv

rule benchmark:
    input: "benchmark/x.txt", "benchmark/y.txt"
rule benchmark_write:
    output: "benchmark/x.txt"
    benchmark: "benchmark/x.tsv"
    shell: "echo x > {output}"
rule benchmark_repeat:
    output: "benchmark/y.txt"
    benchmark: repeat("benchmark/y.tsv", 2)
    shell: "echo y >> {output}"
