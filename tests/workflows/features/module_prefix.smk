# Modularization: a module below a prefix

module of_module_prefix:
    snakefile: "helpers/module/Snakefile"
    config: {"word": "prefixed"}
    prefix: "module_prefix"
use rule * from of_module_prefix as module_prefix_*
rule module_prefix:
    input: "module_prefix/module/word.txt"
