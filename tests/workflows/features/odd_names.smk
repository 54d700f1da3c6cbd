# Paths: blanks, quotes, non-ASCII letters

NAMES_OF_ODD_NAMES = ["a b", "c'd", "é-日", "p+q=r", "$HOME"]
rule odd_names:
    input: expand("odd_names/{n}.txt", n=NAMES_OF_ODD_NAMES)
rule odd_names_write:
    output: "odd_names/{n}.txt"
    shell: "printf %s {wildcards.n:q} > {output:q}"
