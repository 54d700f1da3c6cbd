# Modularization: a module, its rules renamed, its config given

module of_module:
    snakefile: "helpers/module/Snakefile"
    config: {"word": "given"}
use rule * from of_module as module_*
rule module:
    input: "module/word.txt", "module/scripted.txt"
